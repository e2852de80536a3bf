"""The launcher's side of the adapter: starts the child process, sends it requests, ends it."""

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
from typing import TYPE_CHECKING, Any

from kfp_pachyderm import errors
from kfp_pachyderm.adapter.control.spawn import spawn

if TYPE_CHECKING:
    from kfp_pachyderm.adapter.config import AdapterConfig, Flushed, Progress

#: Called with a flush's progress several times a second.
Told = Callable[["Progress"], None]

_ENDING = 2.0
_GRACE = 5.0

#: The environment variable for the spool's size: MiB of disk for objects that a step has written.
SPOOL_VARIABLE = "KFP_PACHYDERM_SPOOL_MIB"
_SPOOL_MIB = "8192"


def spool_limit(env: Mapping[str, str] = os.environ) -> int:
    """Returns the spool's size in bytes, from the environment.

    Raises:
        SpecError: `SPOOL_VARIABLE` holds no positive number.
    """
    text = env.get(SPOOL_VARIABLE, _SPOOL_MIB)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise errors.SpecError(f"{SPOOL_VARIABLE} is {text!r}: give a number of MiB, like {_SPOOL_MIB}")
    return int(text) * 2**20


class AdapterProcess:
    """The adapter's process, as a context manager; its end ends the process without sending anything.

    Args:
        spawned: the process; None: a new one is started.

    Attributes:
        spool_limit: the spool's size in bytes, from the environment.

    Raises:
        SpecError: the environment's spool size is no positive number; the process has been ended.
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
        """Calls `tell`, from another thread, once the process has ended, whatever ended it."""

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

    def dismiss(self) -> None:
        """Ends the process without waiting for its end; no request may follow."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def close(self) -> None:
        """Ends the process; objects that have not been flushed are lost."""
        assert self._process.stdout
        self.dismiss()
        try:
            self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def kill(self) -> None:
        """Kills the process; safe from another thread. A call that waits for its answer raises."""
        self._process.kill()

    def configure(self, config: AdapterConfig, deadline: float) -> str:
        """Tells the adapter what it serves.

        Args:
            config: the step's buckets.
            deadline: `time.monotonic()` by which the adapter must answer.

        Returns:
            The URL of the S3 endpoint, "http://127.0.0.1:<port>".

        Raises:
            PachydermUnreachableError: the process does not answer.
        """
        answer = self._ask({"op": "configure", "config": asdict(config)}, deadline)
        return str(answer["endpoint"])

    def share(self, host: str, deadline: float) -> str:
        """Serves the same buckets on another address of this host too, to clients that have the step's keys.

        `unshare` ends it.

        Args:
            host: the IP address.
            deadline: `time.monotonic()` by which the adapter must answer.

        Returns:
            The URL of the shared endpoint, "http://<host>:<port>".

        Raises:
            PermanentError: the adapter can't listen on that address.
            PachydermUnreachableError: the process does not answer.
        """
        return str(self._ask({"op": "share", "host": host}, deadline)["endpoint"])

    def unshare(self, deadline: float) -> None:
        """Closes the shared endpoint, and makes the output bucket refuse further changes.

        Args:
            deadline: as in `share`.

        Raises:
            PachydermUnreachableError: the process does not answer.
        """
        self._ask({"op": "unshare"}, deadline)

    def flush(self, timeout: float, told: Told = lambda _: None) -> Flushed:
        """Sends everything that the step has written into the output commit, and verifies it there.

        Args:
            timeout: seconds.
            told: called with the progress.

        Raises:
            WriteBackError: names the keys that are not in the commit.
            PachydermUnreachableError: the process does not answer.
        """
        request = {"op": "flush", "timeout": timeout}
        return self._flushed(request, timeout, told)

    def move(self, sidecar: str, sidecar_s3: str) -> None:
        """Tells the adapter the address of the job's new sidecar; safe from any thread, also during a flush.

        Args:
            sidecar: the sidecar's PFS, "grpc://host:port".
            sidecar_s3: the sidecar's S3, "http://host:port".
        """
        with contextlib.suppress(BrokenPipeError):
            self._write({"op": "move", "sidecar": sidecar, "sidecar_s3": sidecar_s3})

    def resend(self, timeout: float, told: Told = lambda _: None) -> Flushed:
        """Sends everything again, and verifies it; arguments and errors as of `flush`.

        It is called when Pachyderm has started the job again: the output commit is empty then.
        """
        request = {"op": "resend", "timeout": timeout}
        return self._flushed(request, timeout, told)

    def _flushed(self, request: dict[str, Any], timeout: float, told: Told) -> Flushed:
        from kfp_pachyderm.adapter.config import Flushed

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
            from kfp_pachyderm.adapter.config import Progress

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
