"""A clock that tests move."""

from __future__ import annotations


class Clock:
    """Tells the seconds in `now`, in the place of `time.monotonic`."""

    now = 0.0

    def __call__(self) -> float:
        return self.now
