"""The deadline that a gRPC client sends along with its call; the server gives up just before the client does.

pachd passes the deadline to everything that the call waits for, its database included. At the deadline it
answers the plain Go error of whatever met it, a few milliseconds before the client gives up by itself
(measured). A plain error becomes UNKNOWN (Pachyderm src/internal/middleware/errors/interceptor.go).
"""

from __future__ import annotations

import time
from contextvars import ContextVar

from kfp_pachyderm.embedded.status import Refused

#: Seconds by which the server gives up before the client.
_EARLY = 0.005

_DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)


class DeadlineExceeded(Refused):
    """The client's deadline came before the answer."""

    def __init__(self) -> None:
        super().__init__("context deadline exceeded")


def enter(seconds: float | None) -> None:
    """Sets the deadline of this thread's call: `seconds` that its client still waits; None: no deadline."""
    _DEADLINE.set(None if seconds is None else time.monotonic() + seconds - min(_EARLY, seconds / 2))


def left() -> float | None:
    """Seconds until the deadline of this thread's call; None: it has none."""
    deadline = _DEADLINE.get()
    return None if deadline is None else deadline - time.monotonic()


def check() -> None:
    """Refuses this thread's call if its deadline has passed.

    Raises:
        DeadlineExceeded: the deadline has passed.
    """
    seconds = left()
    if seconds is not None and seconds <= 0:
        raise DeadlineExceeded
