"""Commits and, if asked for, all that they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.check.commit import Check
from kfp_pachyderm.provenance.check.model import Looked, Verified

#: Commits that are looked at side by side.
_THREADS = 8


def verify(pachd: Pachd, of: str, commits: Sequence[Reference], deep: bool = False) -> Verified:
    """Are the commits what their records say?

    Args:
        pachd: the connection.
        of: what was asked for.
        commits: one, or those of a run; by their IDs.
        deep: whether all that they were made from is looked at, too, each once.

    Raises:
        PachydermError: Pachyderm does not answer.
    """
    found, known, new = list[Looked](), set(commits), [(one, True) for one in dict.fromkeys(commits)]
    with ThreadPoolExecutor(_THREADS) as pool:
        while new:
            level = list(pool.map(lambda one: Check(pachd, *one).look(), new))
            found.extend(level)
            every = dict.fromkeys(above for one in level for above in one.inputs) if deep else {}
            new = [(one, False) for one in every if one not in known]
            known.update(every)
    return Verified(of, tuple(found))
