"""The deadline that a client sends along with its call, and the server meets first.

pachd hands it to whatever it waits for, its database too, and answers the plain error that comes of it, a few
milliseconds before the client would give up by itself (measured; Pachyderm
src/internal/middleware/errors/interceptor.go makes UNKNOWN of it).
"""

from __future__ import annotations

import time
from contextvars import ContextVar

from kfp_pachyderm.embedded.status import Refused

#: Seconds before the client's own end of patience.
_EARLY = 0.005

_DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)


class DeadlineExceeded(Refused):
    """The client's deadline came before the answer."""

    def __init__(self) -> None:
        super().__init__("context deadline exceeded")


def enter(seconds: float | None) -> None:
    """Says how long the client of this thread's call still waits; None: as long as it takes."""
    _DEADLINE.set(None if seconds is None else time.monotonic() + seconds - min(_EARLY, seconds / 2))


def left() -> float | None:
    """Seconds until the deadline of this thread's call; None: it has none."""
    deadline = _DEADLINE.get()
    return None if deadline is None else deadline - time.monotonic()


def check() -> None:
    """Refuses what would come too late.

    Raises:
        DeadlineExceeded: this thread's call is at its deadline.
    """
    seconds = left()
    if seconds is not None and seconds <= 0:
        raise DeadlineExceeded
