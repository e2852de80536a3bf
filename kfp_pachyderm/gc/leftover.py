"""A leftover of a dead run, and what a search for leftovers needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from kfp_pachyderm.errors import TemporaryError
from kfp_pachyderm.pachd.connection.client import Pachd

Kind = Literal["pipeline", "job", "transaction", "branch", "commit", "repo", "project", "folder"]
#: Seconds that a thing must be unused for at least where nothing shows whether it is in use: a gathered
#: commit, a transaction, a job that waits, a fence, a doctor's project, a folder without a lock.
SURE = 3600.0


class InUseError(TemporaryError):
    """A leftover has been used since it was found, so it stays."""


@dataclass(frozen=True)
class Leftover:
    """One thing that a dead run left.

    Args:
        kind: what it is.
        name: its full name.
        since: when it was used last, or made where no use is recorded; None: not known.
        size: bytes of files in it, as Pachyderm or the disk counts them.
        why: what it was for, and why nobody needs it.
        action: what gc does to it: "delete", "stop", "sleep".
        remove: does the action; raises `PachydermError` or `OSError` if that fails.
    """

    kind: Kind
    name: str
    since: datetime | None
    size: int
    why: str
    action: str
    remove: Callable[[], object] = field(repr=False, compare=False)

    def age(self, now: datetime) -> float:
        """Returns the seconds since `since`."""
        return seconds(self.since, now)

    def json(self, now: datetime) -> dict[str, Any]:
        """Returns the leftover as `gc --json` prints it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "since": self.since.isoformat() if self.since else None,
            "age": round(self.age(now)),
            "size": self.size,
            "why": self.why,
            "action": self.action,
        }


@dataclass(frozen=True)
class Search:
    """What a search looks for, and where.

    Args:
        pachd: the connection.
        project: the Pachyderm project; None: every project that the token may see.
        older_than: seconds that a leftover must be unused for at least.
        now: the time at which ages are taken.
        told: gets a line for each thing that can't be inspected or listed.
        listed: the answers of the list calls of this search, by the call's name.
    """

    pachd: Pachd
    project: str | None
    older_than: float
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    told: list[str] = field(default_factory=list)
    listed: dict[str, Any] = field(default_factory=dict)

    def is_old(self, since: datetime | None, sure: bool = True) -> bool:
        """Tells whether a thing is unused for `older_than` seconds; without `sure` for `SURE`, too."""
        return seconds(since, self.now) >= (self.older_than if sure else max(self.older_than, SURE))


def seconds(since: datetime | None, now: datetime) -> float:
    """Returns the seconds from `since` to `now`; 0 if `since` is not set."""
    if since is None or since.timestamp() <= 0:
        return 0.0
    return max(now.timestamp() - since.timestamp(), 0.0)
