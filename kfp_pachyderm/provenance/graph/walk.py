"""From commits to all that they were made from, or to all that was made from them, each looked at once.

Pachyderm walks the provenance of one commit in one call (PFS WalkCommitProvenance and WalkCommitSubvenance;
src/server/pfs/server/server_commit.go). What that does not say, because it stopped, is asked commit by
commit, a level at a time.
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

#: What Pachyderm says of a commit, or why it does not.
Seen = CommitFacts | PachydermError
#: Calls at once.
THREADS = 8
#: Seconds for the one call that walks everything.
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
    """The commits and everything behind them, each once, nearest first.

    Claim branches point at the very commits of the input repos, so that provenance names those; commits of
    pipelines' specs and of Pachyderm's own are left out.

    Args:
        pachd: the connection.
        starts: commits, not branches.
        down: to what was made from them, instead of to what they were made from.
        depth: levels beyond the starts; None: all.
        known: what was looked at before.

    Raises:
        NotFoundError: there is no such start.
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
    """The commits that a commit was made from directly, or with `down` that were made from it."""
    if isinstance(seen, PachydermError):
        return ()
    return seen.below if down else seen.inputs


class Asker:
    """Asks Pachyderm about many things, several at a time; not again, once it is gone for good."""

    def __init__(self) -> None:
        self._gone: PachydermError | None = None

    def ask(self, call: Callable[[Reference], T], about: list[Reference]) -> list[T | PachydermError]:
        """What a call says of each, or why it does not."""
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
    """Looks at commits.

    Args:
        pachd: the connection.
        known: what need not be asked.
    """

    def __init__(self, pachd: Pachd, known: dict[Reference, CommitFacts]) -> None:
        self._pachd, self._known, self._asker = pachd, dict[Reference, Seen](known), Asker()

    def need(self, wanted: list[Reference]) -> None:
        """Looks at commits that must be there.

        Raises:
            PachydermError: why one can't be looked at.
        """
        for one, seen in zip(wanted, self.look(wanted), strict=True):
            if isinstance(seen, NotFoundError):
                raise missing(self._pachd, one) from seen
            if isinstance(seen, PachydermError):
                raise seen

    def ahead(self, start: Reference, down: bool, depth: int) -> None:
        """Takes in one call what Pachyderm says of everything behind a commit, as far as it says it."""
        try:
            for facts in commit_facts.walk(self._pachd.patient(_WALK_TIMEOUT), start, down, depth):
                # a pipeline's own repos, of its spec and of its datums, have the name of its output's
                if facts.repo_type == "user":
                    self._known[facts.commit] = facts
        except PachydermError:
            return  # the rest is asked one by one, and says itself what is wrong

    def look(self, wanted: list[Reference]) -> list[Seen]:
        """What Pachyderm says of each."""
        unknown = [one for one in wanted if one not in self._known]
        asked = self._asker.ask(lambda one: commit_facts.inspect(self._pachd, one), unknown)
        self._known.update(zip(unknown, asked, strict=True))
        return [self._known[one] for one in wanted]
