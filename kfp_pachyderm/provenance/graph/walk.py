"""Walks from commits to all that they were made from, or to all that was made from them.

Pachyderm walks the provenance of one commit in one call (PFS WalkCommitProvenance and WalkCommitSubvenance;
src/server/pfs/server/server_commit.go). That call ends at a limit of Pachyderm's, or at a commit that the
token may not see. The commits that it did not answer are asked for one by one, a level at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kfp_pachyderm.errors import NotFoundError, PachydermError, PachydermUnreachableError
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, missing

#: A commit's facts, or why Pachyderm did not answer them.
Seen = CommitFacts | PachydermError
#: Calls at the same time.
THREADS = 8
#: Seconds for the one call that walks the whole provenance.
_WALK_TIMEOUT = 120.0

T = TypeVar("T")


def walk(
    pachd: Pachd,
    starts: Iterable[Reference],
    *,
    down: bool = False,
    depth: int | None = None,
    known: dict[Reference, CommitFacts] | None = None,
) -> dict[Reference, Seen]:
    """The starts and all commits behind them, each once, nearest first.

    A step's provenance names the commits of the input repos, because claim branches point at these very
    commits. Commits of pipelines' specs and of Pachyderm's internal repos are left out.

    Args:
        pachd: the connection.
        starts: commits by their IDs, not branches.
        down: whether to walk to what was made from them, instead of to what they were made from.
        depth: number of levels beyond the starts; None: all levels.
        known: facts of commits that need not be asked for again.

    Raises:
        NotFoundError: a start does not exist.
        PachydermError: a start can't be looked at.
    """
    looker = Looker(pachd, known or {})
    level, left = list(dict.fromkeys(starts)), depth
    looker.need(level)
    if len(level) == 1 and depth != 0:
        looker.ahead(level[0], down, depth or 0)
    found: dict[Reference, Seen] = {}
    while level:
        found.update(zip(level, looker.look(level), strict=True))
        if left == 0:
            break
        left = None if left is None else left - 1
        beyond = (one for commit in level for one in neighbours(found[commit], down))
        level = [one for one in dict.fromkeys(beyond) if one not in found]
    return found


def neighbours(seen: Seen, down: bool) -> tuple[Reference, ...]:
    """The commits that a commit was made from directly; with `down` those that were made from it directly."""
    if isinstance(seen, PachydermError):
        return ()
    return seen.below if down else seen.inputs


class Asker:
    """Makes one call for each of many commits, several calls at a time.

    After the first PachydermUnreachableError no call is made any more: each would wait for its deadline.
    """

    def __init__(self) -> None:
        self._gone: PachydermError | None = None

    def ask(self, call: Callable[[Reference], T], about: list[Reference]) -> list[T | PachydermError]:
        """The call's result for each commit, or the error that it raised."""
        if not about:
            return []
        with ThreadPoolExecutor(min(THREADS, len(about))) as threads:
            return list(threads.map(lambda one: self._ask(call, one), about))

    def _ask(self, call: Callable[[Reference], T], one: Reference) -> T | PachydermError:
        if self._gone:
            return self._gone
        try:
            return call(one)
        except PachydermUnreachableError as error:
            self._gone = error
            return error
        except PachydermError as error:
            return error


class Looker:
    """Asks Pachyderm for commits and keeps the answers.

    Args:
        pachd: the connection.
        known: facts of commits that need not be asked for.
    """

    def __init__(self, pachd: Pachd, known: dict[Reference, CommitFacts]) -> None:
        self._pachd, self._known, self._asker = pachd, dict[Reference, Seen](known), Asker()

    def need(self, wanted: list[Reference]) -> None:
        """Looks at commits that must exist.

        Raises:
            NotFoundError: a commit does not exist.
            PachydermError: a commit can't be looked at.
        """
        for one, seen in zip(wanted, self.look(wanted), strict=True):
            if isinstance(seen, NotFoundError):
                raise missing(self._pachd, one) from seen
            if isinstance(seen, PachydermError):
                raise seen

    def ahead(self, start: Reference, down: bool, depth: int) -> None:
        """Asks in one call for everything behind a commit, and keeps as much as Pachyderm answers."""
        try:
            for facts in commit_facts.walk(self._pachd.patient(_WALK_TIMEOUT), start, down, depth):
                # the repos of a pipeline's spec and of its datums have the output repo's name
                if facts.repo_type == "user":
                    self._known[facts.commit] = facts
        except PachydermError:
            return  # the rest is asked for one by one, and each call raises its own error

    def look(self, wanted: list[Reference]) -> list[Seen]:
        """The facts of each commit, or the error."""
        unknown = [one for one in wanted if one not in self._known]
        asked = self._asker.ask(lambda one: commit_facts.inspect(self._pachd, one), unknown)
        self._known.update(zip(unknown, asked, strict=True))
        return [self._known[one] for one in wanted]
