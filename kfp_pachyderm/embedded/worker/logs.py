"""Job logs: one file of JSON lines for each job."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from kfp_pachyderm.embedded.pps.jobs import JobKey


class Logs:
    """All jobs' logs.

    Args:
        folder: the folder of the logs; made when missing.
        written: called after every line, to wake GetLogs calls that follow a log.
    """

    def __init__(self, folder: Path, written: Callable[[], None]) -> None:
        self._folder = folder
        self._written = written

    def path(self, key: JobKey) -> Path:
        """The job's log file."""
        return self._folder / key.project / key.pipeline / f"{key.id}.jsonl"

    def open(self, key: JobKey) -> JobLog:
        """The job's log for writing; a context manager."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return JobLog(path, self._written)

    def lines(self, key: JobKey, start: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
        """The job's lines from a byte offset on, each with the offset of its end."""
        path = self.path(key)
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                start += len(line)
                yield json.loads(line), start


class JobLog:
    """One job's log for writing."""

    def __init__(self, path: Path, written: Callable[[], None]) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._written = written

    def __enter__(self) -> JobLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, text: str, user: bool = False, datum: str = "") -> None:
        """Adds a line; `user` marks a line of user code's output."""
        line = {"ts": time.time_ns() // 1000, "user": user, "datum": datum, "message": text}
        with self._lock:
            self._file.write(json.dumps(line).encode() + b"\n")
        self._written()

    def copy(self, stream: IO[bytes], datum: str) -> None:
        """Adds all lines of a stream until it ends."""
        for line in stream:
            self.write(line.decode("utf-8", "replace").rstrip("\r\n"), user=True, datum=datum)
