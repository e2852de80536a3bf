"""Starts the embedded Pachyderm as a process, or joins one that runs already."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from kfp_pachyderm.errors import PachydermUnreachableError, StoreError


class EmbeddedProcess:
    """A running embedded Pachyderm; a context manager that ends it, unless another process started it.

    Args:
        data_dir: its data folder.
        description: the server's `address` and `pid`, as it printed them when it started.
        process: the child, if this process started it.
    """

    def __init__(
        self, data_dir: Path, description: dict[str, Any], process: subprocess.Popen[str] | None
    ) -> None:
        self.data_dir = data_dir
        self.address: str = description["address"]
        self.pid: int = description["pid"]
        self._process = process

    @property
    def joined(self) -> bool:
        """Whether another process started the server, and ends it."""
        return self._process is None

    def __enter__(self) -> EmbeddedProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, timeout: float = 10) -> None:
        """Ends the server if this process started it; a joined server runs on.

        Args:
            timeout: seconds until the server is killed.
        """
        if self._process is not None:
            _end(self._process, timeout)


class FreshServers:
    """One embedded Pachyderm after the other, each on a folder of its own, in one process; for tests.

    A process takes half a second to start, nearly all of it imports; here only the first server waits for it.
    Each server has a new port, store, worker and cluster ID. A context manager that ends the process.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kfp_pachyderm.embedded", "fresh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> FreshServers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        # The process then ends by itself, and ends the user code of its last server.
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        _end(self._process, 10)

    def open(self, data_dir: Path, timeout: float = 30) -> EmbeddedProcess:
        """Closes the open server, if there is one, and opens the next.

        Args:
            data_dir: the next server's data folder; made when missing.
            timeout: seconds until it must answer.

        Returns:
            The next server, as a joined one: its `close` does nothing.

        Raises:
            StoreError: the folder can't be used.
            PachydermUnreachableError: no answer in time.
        """
        said = self._ask(str(data_dir.absolute()), timeout)
        if "error" in said:
            raise StoreError(said["error"])
        return EmbeddedProcess(data_dir.absolute(), said, None)

    def close_current(self, timeout: float = 30) -> None:
        """Ends the open server and the user code that it runs; the process stays for the next server.

        Args:
            timeout: seconds until the server must have ended.
        """
        self._ask("", timeout)

    def _ask(self, line: str, timeout: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = _first_line(self._process, time.monotonic() + timeout)
        if not answer:
            raise PachydermUnreachableError(
                f"the process of the embedded Pachyderms gave no answer in {timeout:g} s"
            )
        said: dict[str, Any] = json.loads(answer)
        return said


def start(data_dir: Path, port: int = 0, timeout: float = 30) -> EmbeddedProcess:
    """Starts an embedded Pachyderm on a data folder, or joins the one that runs there.

    Args:
        data_dir: the data folder; made when missing.
        port: its gRPC port on 127.0.0.1; 0: any free one. A joined server keeps its own.
        timeout: seconds until it must answer.

    Returns:
        The running server. It ends with this process, however this process ends.

    Raises:
        StoreError: the folder can't be used, or the port is taken; with the server's own words.
        PachydermUnreachableError: it did not start in time.
    """
    deadline = time.monotonic() + timeout
    data_dir = data_dir.absolute()
    running = _running(data_dir)
    while running is None:
        started = _start(data_dir, port, deadline)
        if started is not None:
            return started
        # Another process was quicker. It writes its address in a moment.
        running = _running(data_dir)
        if time.monotonic() > deadline:
            raise PachydermUnreachableError(
                f"another process holds {data_dir} but did not say where it listens within {timeout:g} s"
            )
    return EmbeddedProcess(data_dir, running, None)


def _running(data_dir: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((data_dir / "server.json").read_text())
        with (data_dir / "lock").open() as lock:
            return found if _is_locked(lock.fileno()) and _is_alive(found["pid"]) else None
    except (OSError, ValueError, KeyError):
        return None


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start(data_dir: Path, port: int, deadline: float) -> EmbeddedProcess | None:
    command = [
        sys.executable,
        "-m",
        "kfp_pachyderm.embedded",
        "--data-dir",
        str(data_dir),
        "--port",
        str(port),
    ]
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [*command, "--exit-with-parent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            # Ctrl-C in a terminal reaches the user's program only, which ends the server when it is done.
            start_new_session=True,
        )
        line = _first_line(process, deadline)
        if line:
            return EmbeddedProcess(data_dir, json.loads(line), process)
        late = process.poll() is None and time.monotonic() >= deadline
        _end(process, 1 if late else 10)
        complaints.seek(0)
        if late:
            said = complaints.read().strip() or "nothing; the machine may be busy, try again"
            raise PachydermUnreachableError(
                f"the embedded Pachyderm on {data_dir} did not say in time where it listens; it said: {said}"
            )
        complaint = complaints.read().strip().removeprefix("StoreError: ")
    if "another embedded Pachyderm uses" in complaint:
        time.sleep(0.05)
        return None
    raise StoreError(
        complaint or f"the embedded Pachyderm on {data_dir} ended at once, without an error message"
    )


def _first_line(process: subprocess.Popen[str], deadline: float) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
    return process.stdout.readline() if ready else ""


def _end(process: subprocess.Popen[str], timeout: float) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
