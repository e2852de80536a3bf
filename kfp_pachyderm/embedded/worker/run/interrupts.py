"""What interrupts a job's run: its end from outside, the loss of its worker or sidecar, its timeout."""

from __future__ import annotations

import time
from datetime import timedelta
from queue import SimpleQueue
from typing import Literal

from kfp_pachyderm.embedded.store.sqlite.database import Database

#: What user code is watched for, and its exit code.
Signal = tuple[Literal["exit", "end", "replace"], int]


class Ended(Exception):
    """The job was ended from outside, or the server is stopping."""


class Replaced(Exception):
    """The worker was replaced: the job starts again; its `restart` does not count that."""


class Restarted(Replaced):
    """The sidecar was lost: after user code's exit with 0 the job starts again; its `restart` counts that."""


class TimedOut(Exception):
    """The job has reached its `job_timeout`."""


class Interrupts:
    """The interrupts of one job's run. Other threads make them, the run's thread meets them.

    Args:
        database: the store's, whose waits end with the run.

    Attributes:
        stopped: whether the run has been ended.
        signals: wake who watches user code.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.stopped = False
        self.signals: SimpleQueue[Signal] = SimpleQueue()
        self._pending: type[Replaced] | None = None
        self._deadline: float | None = None

    def end(self) -> None:
        """Ends the run."""
        self.stopped = True
        self.signals.put(("end", 0))
        self._database.wake()

    def replace(self) -> None:
        """Acts as if the worker were lost and another one took over."""
        self.signals.put(("replace", 0))

    def replace_at_the_end(self, how: type[Replaced]) -> None:
        """As `replace`, between the end of user code and that of the job."""
        self._pending = how

    def raise_pending(self) -> None:
        """Raises what `replace_at_the_end` asked for, once."""
        if self._pending is not None:
            lost, self._pending = self._pending, None
            raise lost

    def limit(self, timeout: timedelta | None) -> None:
        """Gives the job so much time, from the first call on; None or 0: as much as it takes."""
        if timeout and self._deadline is None:
            self._deadline = time.monotonic() + timeout.total_seconds()

    @property
    def timed_out(self) -> bool:
        """Whether the job has reached its timeout."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def seconds_left(self, datum_end: float | None = None) -> float | None:
        """Seconds until the job's timeout, or until `datum_end` if that comes first; None: neither is set."""
        ends = [one for one in (datum_end, self._deadline) if one is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else None
