"""What a machine is worth while the faults are tried: a clock that goes slower where steps go slower."""

from __future__ import annotations

import subprocess
import sys
import threading

#: Seconds that each round waits, as steps wait: no machine does more rounds in a time than this lets it.
PAUSE = 0.2
_WORK = [sys.executable, "-I", "-S", "-c", ""]


class Yardstick:
    """Counts rounds of a wait and the start of a Python process. A context manager.

    What a step needs after a fault is waits and starts of processes, too. Beside busy loops both it and a
    round take longer: a bound in rounds holds on every machine, and a wait that is too long breaks it.
    """

    def __init__(self) -> None:
        self.rounds = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._count, name="yardstick")

    def _count(self) -> None:
        while not self._over.wait(PAUSE):
            # With this process's environment, the start fails while another thread changes it (EFAULT).
            subprocess.run(_WORK, check=True, env={})
            self.rounds += 1

    def __enter__(self) -> Yardstick:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
