"""What the launcher does on SIGTERM, SIGINT and SIGHUP: first the holder, then the child, then the rest."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

from kfp_pachyderm.ending import to_catch
from kfp_pachyderm.launcher.child.process import Child

if TYPE_CHECKING:
    from kfp_pachyderm.launcher.attach.session import Session

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: Seconds between two checks that the launcher's parent process (KFP's) still runs.
_LOOK_EVERY = 1.0


class Interrupted(BaseException):
    """A signal ends the launcher. A BaseException, so that no `except Exception` catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """Catches the signals that end a step. A context manager, for the main thread.

    KFP gives a step between 0.01 and 2 s from SIGTERM to the end, without readers of stdout. So the first act
    is one call to the holder, which ends the job; nothing is printed before it.

    A SIGINT or SIGHUP that the launcher's parent ignores stays ignored.

    When the process that started the launcher is gone, nobody reads the result: that counts as SIGTERM.
    """

    def __init__(self) -> None:
        self.session: Session | None = None
        self.child: Child | None = None
        self.received: int | None = None
        self._starting = False
        self._before: dict[int, object] = {}
        self._over = threading.Event()

    def _watch_parent(self, parent: int) -> None:
        while not self._over.wait(_LOOK_EVERY):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _handle(self, number: int, _: FrameType | None) -> None:
        first, self.received = self.received is None, number
        if first and self.session:
            self.session.abandon(128 + number, f"the step got {signal.Signals(number).name}")
        if self.child:
            self.child.end(number if first else signal.SIGKILL)
        elif first and not self._starting:
            raise Interrupted(number)

    def start(self, command: list[str], env: dict[str, str]) -> Child:
        """Starts the child. A signal that arrives during the start is passed on to the child after it.

        Raises:
            OSError: the program can't be started.
        """
        self._starting = True
        try:
            self.child = Child(command, env)
        finally:
            self._starting = False
        if self.received is not None:
            self.child.end(self.received)
        return self.child

    def end_child(self) -> None:
        """Ends the child from another thread, because its job can't be saved."""
        if self.child:
            self.child.end(signal.SIGTERM)

    def check(self) -> None:
        """Raises Interrupted if a signal came while the child ran."""
        if self.received is not None:
            raise Interrupted(self.received)

    def __enter__(self) -> Signals:
        for number in to_catch(_NUMBERS):
            self._before[number] = signal.signal(number, self._handle)
        threading.Thread(target=self._watch_parent, args=(os.getppid(),), name="parent", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
