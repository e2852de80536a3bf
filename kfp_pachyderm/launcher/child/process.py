"""The user's own command as a child process in its own process group."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading

#: Seconds that a child gets between SIGTERM and SIGKILL.
GRACE = 10.0
#: A shell script that kills process group $0 when its stdin ends without a line: the launcher was killed.
#: In a container the child dies with the launcher; on a laptop it would go on, although its job is lost.
_GUARD = 'read -r _ || kill -s KILL -- "-$0"'


class Child:
    """The user's command; stdin, stdout and stderr are the launcher's own.

    Args:
        command: program and arguments.
        env: its whole environment.

    Raises:
        OSError: the program can't be started.
    """

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._process = subprocess.Popen(command, env=env, process_group=0)
        self._guard = _guard(self._process.pid)

    def wait(self) -> int:
        """Waits for the exit code (128 + n after signal n), and kills what is left of the process group."""
        code = self._process.wait()
        self._send(signal.SIGKILL)
        if self._guard:
            self._guard.communicate(b"\n")
        return 128 - code if code < 0 else code

    def end(self, number: int) -> None:
        """Sends a signal to the whole process group, and SIGKILL after the grace."""
        self._send(number)
        killer = threading.Timer(GRACE, self._send, (signal.SIGKILL,))
        killer.daemon = True
        killer.start()

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _guard(group: int) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            ["sh", "-c", _GUARD, str(group)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    except OSError:
        return None  # an image without a shell
