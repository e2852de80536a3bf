"""The embedded Pachyderm as one process on one data folder."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

from kfp_pachyderm.embedded.services import cluster, wire
from kfp_pachyderm.embedded.services.context import Joining
from kfp_pachyderm.embedded.services.files import FileService
from kfp_pachyderm.embedded.services.pfs import PfsService
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.errors import StoreError

logger = logging.getLogger(__name__)

#: Calls at once; SubscribeJob, InspectJob(wait) and the like hold one each.
THREADS = 256

#: The text that pachyderm_sdk turns into AuthServiceNotActivated.
AUTH_OFF = {"auth_v2.API": "the auth service is not activated"}


class EmbeddedServer:
    """Store, worker and gRPC services; a context manager.

    Args:
        data_dir: the data folder; made when missing.
        port: where gRPC listens on 127.0.0.1; 0: any free port.

    Raises:
        StoreError: another server uses the folder, the folder can't be used, or the port is taken.
    """

    def __init__(self, data_dir: Path, port: int = 0) -> None:
        self.data_dir = data_dir.absolute()
        with ExitStack() as stack:
            stack.enter_context(_locked(self.data_dir))
            self.store = stack.enter_context(Store(self.data_dir))
            self._server, self.port = self._listen(port)
            stack.callback(self._stop_listening)
            self._write_address()
            self._stack = stack.pop_all()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends user code, then the services, then lets go of the folder."""
        self._stack.close()

    @property
    def address(self) -> str:
        """What clients are given."""
        return f"grpc://127.0.0.1:{self.port}"

    @property
    def description(self) -> dict[str, str | int]:
        """What stands in server.json."""
        return {"address": self.address, "pid": os.getpid(), "version": wire_version()}

    def _listen(self, port: int) -> tuple[wire.Server, int]:
        joining = Joining(self.store)
        services = {
            "pfs_v2.API": PfsService(joining).calls() | FileService(self.store).calls(),
            "versionpb_v2.API": cluster.version_calls(),
            "admin_v2.API": cluster.admin_calls(self.store),
            "grpc.health.v1.Health": cluster.health_calls(),
        }
        try:
            return wire.serve(services, port, THREADS, AUTH_OFF)
        except OSError as error:
            raise StoreError(f"{error}. Give another port, or 0 for any free one") from error

    def _stop_listening(self) -> None:
        self.store.database.stop_waiting()
        self._server.stop(0.2).wait(5)

    def _write_address(self) -> None:
        path = self.data_dir / "server.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.description))
        temporary.replace(path)


def wire_version() -> str:
    """The Pachyderm version that the server says it is."""
    said = cluster.VERSION
    return f"{said.major}.{said.minor}.{said.micro}{said.additional}"


def _locked(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a")
    except OSError as error:
        raise StoreError(f"{folder} can't be written: {error}. Give a data folder that can") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreError(
            f"another embedded Pachyderm uses {folder}: use its address (server.json there), or give another folder"
        ) from error
    return file
