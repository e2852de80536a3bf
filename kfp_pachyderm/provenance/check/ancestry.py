"""Checks commits and, if asked for, all commits that they were made from."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.check.commit import Check
from kfp_pachyderm.provenance.check.model import Looked
from kfp_pachyderm.provenance.check.verified import Verified

#: Commits that are checked at the same time.
_THREADS = 8


def verify(pachd: Pachd, of: str, commits: Sequence[Reference], deep: bool = False) -> Verified:
    """Compares commits with their records.

    Args:
        pachd: the connection.
        of: the text that the user asked about.
        commits: one commit, or those of a run or job; by their IDs.
        deep: whether all that they were made from is checked, too, each commit once.

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
