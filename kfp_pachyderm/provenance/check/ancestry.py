"""A commit and, if asked for, all that it was made from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.references import Reference, commit_message, missing
from kfp_pachyderm.provenance.check.commit import Check
from kfp_pachyderm.provenance.check.model import Looked, Verified

#: Commits that are looked at side by side.
_THREADS = 8


def verify(pachd: Pachd, commit: Reference, deep: bool = False) -> Verified:
    """Is the commit what its record says?

    Args:
        pachd: the connection.
        commit: by its ID, or the head of a branch.
        deep: whether all that it was made from is looked at, too, each once.

    Raises:
        NotFoundError: there is no such commit.
        PachydermError: Pachyderm does not answer.
    """
    try:
        found = pachd.pfs.inspect_commit(commit=commit_message(commit))
    except NotFoundError as error:
        raise missing(pachd, commit) from error
    start = Reference(commit.project, commit.repo, found.commit.id)
    first = Check(pachd, start, True).look()
    return Verified((first, *(_behind(pachd, first) if deep else ())))


def _behind(pachd: Pachd, first: Looked) -> list[Looked]:
    known, level, looked = {first.commit}, [first], list[Looked]()
    with ThreadPoolExecutor(_THREADS) as pool:
        while level:
            every = dict.fromkeys(above for one in level for above in one.inputs)
            new = [one for one in every if one not in known]
            known.update(new)
            level = list(pool.map(lambda one: Check(pachd, one, False).look(), new))
            looked.extend(level)
    return looked
