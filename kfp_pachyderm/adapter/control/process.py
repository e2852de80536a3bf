"""The adapter as the launcher sees it: a child process, configured, flushed, ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any

from kfp_pachyderm import errors
from kfp_pachyderm.adapter.config import AdapterConfig, Flushed, Progress
from kfp_pachyderm.adapter.control.spawn import spawn

__all__ = ["AdapterConfig", "AdapterProcess", "Flushed", "Progress", "Told"]

#: Takes how far a flush is, now and then.
Told = Callable[[Progress], None]

_ENDING = 2.0
_GRACE = 5.0

#: MiB of disk for what a step has written and Pachyderm has not taken yet.
SPOOL_VARIABLE = "KFP_PACHYDERM_SPOOL_MIB"
_SPOOL_MIB = "8192"


def spool_limit(env: Mapping[str, str] = os.environ) -> int:
    """Bytes that the spool takes.

    Raises:
        SpecError: the variable holds no positive number.
    """
    text = env.get(SPOOL_VARIABLE, _SPOOL_MIB)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise errors.SpecError(f"{SPOOL_VARIABLE} is {text!r}: give a number of MiB, like {_SPOOL_MIB}")
    return int(text) * 2**20


class AdapterProcess:
    """The adapter's process; leaving the context ends it without sending anything.

    Args:
        spawned: the process, if it has been started already.

    Attributes:
        spool_limit: bytes that the environment gives the spool.

    Raises:
        SpecError: the environment's setting is wrong; the process has ended.
    """

    def __init__(self, spawned: subprocess.Popen[bytes] | None = None) -> None:
        self._process = spawned or spawn()
        try:
            self.spool_limit = spool_limit()
        except errors.SpecError:
            self.close()
            raise
        self._received = b""
        self._writing = threading.Lock()

    @property
    def pid(self) -> int:
        """The process's ID."""
        return self._process.pid

    def when_ended(self, tell: Callable[[errors.PachydermError], None]) -> None:
        """Calls `tell`, from another thread, when the process has ended, however."""

        def wait() -> None:
            self._process.wait()
            tell(self._gone("ended"))

        threading.Thread(target=wait, name="adapter", daemon=True).start()

    def __enter__(self) -> AdapterProcess:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process; what has not been flushed is gone."""
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def kill(self) -> None:
        """Ends the process at once, from another thread: whoever waits for its answer hears that it ended."""
        self._process.kill()

    def configure(self, config: AdapterConfig, deadline: float) -> str:
        """Tells the adapter what it serves.

        Args:
            config: the step's buckets.
            deadline: `time.monotonic()` until which it must answer.

        Returns:
            The endpoint, "http://127.0.0.1:<port>".

        Raises:
            PachydermUnreachableError: the process does not answer.
        """
        answer = self._ask({"op": "configure", "config": asdict(config)}, deadline)
        return str(answer["endpoint"])

    def share(self, host: str, deadline: float) -> str:
        """Serves the same on another address of this host, to whoever has the keys; see `unshare`.

        Args:
            host: the IP address.
            deadline: `time.monotonic()` until which it must answer.

        Returns:
            The endpoint, "http://<host>:<port>".

        Raises:
            PermanentError: nothing can listen there.
            PachydermUnreachableError: the process does not answer.
        """
        return str(self._ask({"op": "share", "host": host}, deadline)["endpoint"])

    def unshare(self, deadline: float) -> None:
        """The output bucket takes no more changes, and the shared endpoint is closed, when this returns.

        Args:
            deadline: as in `share`.
        """
        self._ask({"op": "unshare"}, deadline)

    def flush(self, timeout: float, told: Told = lambda _: None) -> Flushed:
        """Everything that the step has written is in the output commit, and verified, when this returns.

        Args:
            timeout: seconds.
            told: hears how far it is.

        Raises:
            WriteBackError: names the keys that are not there.
            PachydermUnreachableError: the process does not answer.
        """
        request = {"op": "flush", "timeout": timeout}
        return Flushed(**self._ask(request, time.monotonic() + timeout + _GRACE, told))

    def move(self, sidecar: str, sidecar_s3: str) -> None:
        """Tells where the job's sidecar is from now on; from any thread, also while a flush is under way.

        Args:
            sidecar: "grpc://host:port".
            sidecar_s3: "http://host:port".
        """
        with contextlib.suppress(BrokenPipeError):
            self._write({"op": "move", "sidecar": sidecar, "sidecar_s3": sidecar_s3})

    def resend(self, timeout: float, told: Told = lambda _: None) -> Flushed:
        """As `flush`, all of it again, because a new holder instance has an empty output commit."""
        request = {"op": "resend", "timeout": timeout}
        return Flushed(**self._ask(request, time.monotonic() + timeout + _GRACE, told))

    def _write(self, request: dict[str, Any]) -> None:
        assert self._process.stdin
        with self._writing:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def _ask(self, request: dict[str, Any], deadline: float, told: Told = lambda _: None) -> dict[str, Any]:
        try:
            self._write(request)
        except BrokenPipeError as error:
            raise self._gone("ended") from error
        asked = repr(request["op"])
        while "progress" in (answer := json.loads(self._line(deadline, asked))):
            told(Progress(**answer["progress"]))
            asked = f"{request['op']!r} (at last {answer['progress']})"
        if "error" in answer:
            raise getattr(errors, answer["error"])(answer["message"])
        result: dict[str, Any] = answer["ok"]
        return result

    def _line(self, deadline: float, asked: str) -> bytes:
        assert self._process.stdout
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(left, 0))
            if not ready:
                raise self._gone(f"did not answer {asked} in time")
            data = os.read(self._process.stdout.fileno(), 65536)
            if not data:
                raise self._gone("ended")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _gone(self, what: str) -> errors.PachydermError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(
                _ENDING if what == "ended" else 0
            )  # its pipes close a moment before it is over
        code = self._process.poll()
        ended = "" if code is None else f" with exit code {code}"
        return errors.PachydermUnreachableError(
            f"the step's S3 adapter (process {self.pid}) {what}{ended}: its reason is in the step's log; "
            "nothing more is sent, run the step again"
        )
