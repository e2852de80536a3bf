"""Starts the process that sends events, and writes events to it. Only the step's end waits for it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import IO

from kfp_pachyderm.openlineage.facts import Facts

#: Seconds that a step waits at its end for its last event to be sent.
WAIT = 0.9


class Sender:
    """A process that loads the client library and sends the events.

    A server that hangs, a failed DNS lookup or a failed import concerns that process, not the step. The
    process outlives the launcher for some seconds: it sends the remaining events, and ABORT if the launcher
    was killed.

    Args:
        env: the process's environment.
        say: writes one line into the step's log.

    Raises:
        OSError: the process can't be started.
    """

    def __init__(self, env: dict[str, str], say: Callable[[str], None]) -> None:
        self._say = say
        self._process = subprocess.Popen(
            # -B: no bytecode may be written into the launcher's folder, which is deleted at the step's end.
            [sys.executable, "-P", "-B", "-m", "kfp_pachyderm.openlineage"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # KFP waits until no process has the step's stderr open any more.
            stderr=subprocess.DEVNULL,
            env=env,
            # Signals to the step's process group must not end this process.
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        threading.Thread(target=self._write, args=(self._process.stdin,), daemon=True).start()
        self._heard = threading.Thread(target=self._hear, args=(self._process.stdout,), daemon=True)
        self._heard.start()

    def tell(self, facts: Facts) -> None:
        """Hands one event to the process, and returns at once."""
        self._lines.put(facts.line())

    def close(self) -> None:
        """Waits up to `WAIT` seconds for the events that are not sent yet."""
        self._lines.put(None)
        self._heard.join(WAIT)
        if self._heard.is_alive():
            self._say(
                "OpenLineage: the last events are not sent yet. The step does not wait for them; they are "
                "lost if its container is gone before"
            )
        else:
            self._process.wait()

    def _write(self, pipe: IO[bytes]) -> None:
        with suppress(OSError):
            for line in iter(self._lines.get, None):
                pipe.write(line)
                pipe.flush()
        with suppress(OSError):
            pipe.close()

    def _hear(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self._say(f"OpenLineage: {line.decode(errors='replace').rstrip()}")
