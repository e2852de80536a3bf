"""Waits until a signal, or another thread, ends the process."""

from __future__ import annotations

import os
import select
import signal
from types import TracebackType

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


def to_catch(numbers: tuple[signal.Signals, ...]) -> list[signal.Signals]:
    """Returns the signals of these that end a process: SIGTERM, and those that its parent does not ignore.

    What a parent ignores stays ignored: `nohup` ignores SIGHUP, a script's `&` ignores SIGINT (POSIX, Shell
    Command Language 2.11).
    """
    return [one for one in numbers if one == signal.SIGTERM or signal.getsignal(one) != signal.SIG_IGN]


class Ending:
    """SIGTERM and SIGINT end the wait, and so does `set`. A context manager, for the main thread.

    A SIGINT that the process's parent ignores stays ignored.

    A signal handler runs in the main thread. It may not set a `threading.Event` that the main thread waits
    for: the main thread may hold the event's lock, and would wait for itself. A signal that comes just before
    a read runs no handler until the read returns. So the interpreter itself writes each signal to a pipe
    (Python docs, `signal.set_wakeup_fd`).

    Args:
        second_kills: whether a signal's second coming ends the process at once; else it does nothing.
    """

    def __init__(self, second_kills: bool = False) -> None:
        self._second_kills = second_kills
        self._told, self._tell = os.pipe()
        os.set_blocking(self._tell, False)

    def __enter__(self) -> Ending:
        self._wakeup_before = signal.set_wakeup_fd(self._tell)
        self._before = [(number, signal.signal(number, self._handle)) for number in to_catch(_NUMBERS)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before:
            signal.signal(number, before)
        signal.set_wakeup_fd(self._wakeup_before)

    def _handle(self, number: int, _: object) -> None:
        if self._second_kills:
            signal.signal(number, signal.SIG_DFL)

    def set(self) -> None:
        """Ends the wait from another thread."""
        os.write(self._tell, b"\0")

    def is_set(self) -> bool:
        """Tells whether the process is to end."""
        return self.wait(0)

    def wait(self, seconds: float | None = None) -> bool:
        """Returns True when the process is to end, False after so many seconds; None: no limit."""
        return bool(select.select([self._told], [], [], seconds)[0])
