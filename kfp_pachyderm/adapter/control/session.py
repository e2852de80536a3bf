"""Carries out the launcher's requests to the adapter, one after the other."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kfp_pachyderm.adapter.config import AdapterConfig, Flushed
from kfp_pachyderm.adapter.control.shared_endpoint import Shared
from kfp_pachyderm.adapter.delivery import WriteBack
from kfp_pachyderm.adapter.operations.endpoint import Adapter
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.errors import PachydermError, ProtocolError
from kfp_pachyderm.protocol.pfs_messages import CommitName
from kfp_pachyderm.s3.http.server import S3Server

log = logging.getLogger("kfp_pachyderm.adapter")

_LOOK_AFTER = 0.1
#: Seconds between two messages on a flush's progress.
_TELL_EVERY = 0.5


def _commit(value: Any) -> CommitName:
    project, repo, commit_id = value
    return (project, repo, commit_id)


def _config(data: dict[str, Any]) -> AdapterConfig:
    inputs = {name: _commit(value) for name, value in data.pop("inputs").items()}
    output, encoded = data.pop("output"), tuple(data.pop("encoded"))
    return AdapterConfig(**data, inputs=inputs, output=_commit(output) if output else None, encoded=encoded)


class Session:
    """Carries out the launcher's requests.

    Args:
        tell: sends the launcher a message before the answer: a flush's progress.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._adapter: Adapter | None = None
        self._sidecar: Sidecar | None = None
        self._writeback: WriteBack | None = None
        self._shared: Shared | None = None

    def configure(self, config: dict[str, Any], listener: socket.socket) -> None:
        """Serves the step's buckets.

        Args:
            config: an AdapterConfig as JSON has it.
            listener: the socket that clients connect to.
        """
        made = _config(config)
        self._sidecar = Sidecar(made)
        self._adapter = Adapter(made, self._sidecar)
        if made.output and self._adapter.buckets.output:
            bucket, spool = self._adapter.buckets.output, self._adapter.spool
            self._writeback = WriteBack(self._sidecar, made.output, bucket, spool)
            self._writeback.start()
        S3Server(self._adapter.wsgi(), listener=listener)
        # The connection is made before the first request needs it: a port that a firewall blocks takes
        # seconds to time out. It is delayed because grpc's import takes processor time, and the step's
        # command begins now.
        look = threading.Timer(_LOOK_AFTER, self._sidecar.remote)
        look.daemon = True
        look.start()

    def share(self, host: str) -> dict[str, Any]:
        if self._adapter is None:
            raise ProtocolError("the adapter was asked to share before it was configured")
        self._shared = Shared(self._adapter, host)
        return {"endpoint": self._shared.endpoint}

    def unshare(self) -> dict[str, Any]:
        if self._shared is not None:
            self._shared.end()
        return {}

    def flush(self, timeout: float) -> dict[str, Any]:
        if self._adapter is None:
            raise ProtocolError("the adapter was asked to flush before it was configured")
        if self._writeback is None:
            return vars(Flushed(0, 0))
        with self._telling(self._writeback):
            return vars(self._writeback.flush(timeout))

    @contextmanager
    def _telling(self, writeback: WriteBack) -> Iterator[None]:
        """Sends the launcher the progress every `_TELL_EVERY` seconds while the block runs."""
        over = threading.Event()

        def tell() -> None:
            while not over.wait(_TELL_EVERY):
                self._tell({"progress": vars(writeback.progress())})

        teller = threading.Thread(target=tell, name="progress", daemon=True)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()

    def move(self, sidecar: str, sidecar_s3: str) -> None:
        if self._sidecar is not None:
            self._sidecar.move(sidecar, sidecar_s3)

    def resend(self, timeout: float) -> dict[str, Any]:
        if self._writeback is not None:
            self._writeback.restart()
        return self.flush(timeout)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carries out a request, and returns its answer."""
        operations: dict[str, Callable[..., dict[str, Any]]] = {
            "flush": self.flush,
            "resend": self.resend,
            "share": self.share,
            "unshare": self.unshare,
        }
        try:
            return {"ok": operations[request.pop("op")](**request)}
        except PachydermError as error:
            return {"error": type(error).__name__, "message": str(error)}
        except Exception as error:
            log.exception("the adapter failed")
            return {"error": "PachydermError", "message": f"the adapter failed: {error!r}"}
