"""One thing that a dead run left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from kfp_pachyderm.errors import TemporaryError
from kfp_pachyderm.pachd.connection.client import Pachd

Kind = Literal["pipeline", "job", "transaction", "branch", "commit", "repo", "project", "folder"]
#: Seconds after which a thing whose use can't be seen is taken for dead: a gathered commit, a transaction, a
#: job that waits, a doctor's project.
SURE = 3600.0


class InUseError(TemporaryError):
    """Somebody uses it now."""


@dataclass(frozen=True)
class Leftover:
    """One thing that a dead run left.

    Args:
        kind: what it is.
        name: its full name.
        since: when it was used last; None where that is not known.
        size: bytes of files in it, as Pachyderm or the disk counts them.
        why: what it was for, and why nobody needs it.
        action: what is done to it: "delete", "stop", "sleep".
        remove: does the action; raises `PachydermError` or `OSError` when it can't.
    """

    kind: Kind
    name: str
    since: datetime | None
    size: int
    why: str
    action: str
    remove: Callable[[], object] = field(repr=False, compare=False)

    def age(self, now: datetime) -> float:
        """Seconds since it was used last."""
        return seconds(self.since, now)

    def json(self, now: datetime) -> dict[str, Any]:
        """The leftover as JSON."""
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
    """What is looked for, and where.

    Args:
        pachd: the connection.
        project: the Pachyderm project; None: all that can be seen.
        older_than: seconds that a thing has not been used for.
        now: the time that ages are counted to.
        told: takes a line for each thing that can't be looked at.
        listed: what this look has listed, by the call.
    """

    pachd: Pachd
    project: str | None
    older_than: float
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    told: list[str] = field(default_factory=list)
    listed: dict[str, Any] = field(default_factory=dict)

    def is_old(self, since: datetime | None, sure: bool = True) -> bool:
        """Whether it is old enough; `sure` False: nothing else tells whether it is in use."""
        return seconds(since, self.now) >= (self.older_than if sure else max(self.older_than, SURE))


def seconds(since: datetime | None, now: datetime) -> float:
    """Seconds from then to now; 0 for what has not begun."""
    if since is None or since.timestamp() <= 0:
        return 0.0
    return max(now.timestamp() - since.timestamp(), 0.0)
