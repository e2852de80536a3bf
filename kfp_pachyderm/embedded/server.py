"""The embedded Pachyderm as one process on one data folder."""

from __future__ import annotations

import json
import logging
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from pachyderm_sdk.api import pfs as pfs_api
from pachyderm_sdk.api import pps as pps_api

from kfp_pachyderm.embedded.auth import owners, startup, state
from kfp_pachyderm.embedded.auth.gate import Gate
from kfp_pachyderm.embedded.services import auth, cluster, handlers, local, metadata
from kfp_pachyderm.embedded.services.context import Joining
from kfp_pachyderm.embedded.services.pfs_api.file_sets import file_set_calls
from kfp_pachyderm.embedded.services.pfs_api.files import FileService
from kfp_pachyderm.embedded.services.pfs_api.service import PfsService
from kfp_pachyderm.embedded.services.pps_api.jobs import JobService
from kfp_pachyderm.embedded.services.pps_api.pipelines import PipelineService
from kfp_pachyderm.embedded.services.pps_api.settings import SettingService
from kfp_pachyderm.embedded.services.transactions import TransactionService
from kfp_pachyderm.embedded.store.lock import locked
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.worker.environment import on_this_machine
from kfp_pachyderm.embedded.worker.logs import Logs
from kfp_pachyderm.embedded.worker.manager import Manager
from kfp_pachyderm.errors import StoreError

logger = logging.getLogger(__name__)

#: gRPC calls that run at once. A call that waits, such as SubscribeJob or InspectJob(wait), counts as well.
THREADS = 256

#: Fields of TransactionRequest that pfs_v2.API carries out, and those that pps_v2.API does.
_JOINING_PFS = (
    "create_repo",
    "delete_repo",
    "start_commit",
    "finish_commit",
    "squash_commit_set",
    "create_branch",
    "delete_branch",
)
_JOINING_PPS = ("update_job_state", "stop_job", "create_pipeline_v2")


class EmbeddedServer:
    """One server: its store, its worker and its gRPC services; a context manager.

    Args:
        data_dir: the data folder; made when missing.
        port: where gRPC listens; 0: any free port.
        auth_on: turn auth on, if it is off; see `embedded.auth.startup.prepare`.
        host: the IPv4 address that everything listens on; "0.0.0.0": all that the machine has.

    Raises:
        StoreError: another server uses the folder, the folder can't be used, or the port is taken.
    """

    def __init__(self, data_dir: Path, port: int = 0, auth_on: bool = False, host: str = "127.0.0.1") -> None:
        self.data_dir, self._host = data_dir.absolute(), host
        with ExitStack() as stack:
            stack.enter_context(locked(self.data_dir))
            self.store = stack.enter_context(Store(self.data_dir))
            self._logs = Logs(self.data_dir / "logs", self.store.database.wake)
            self.manager = Manager(self.store, self._logs, self._sidecar_services(), host)
            startup.prepare(self.store, auth_on)
            self._server, self.port = self._listen(port)
            stack.callback(self._stop_listening)
            # The worker ends before the listener: clients that wait for a job still get its last state.
            stack.callback(self.manager.close)
            self.manager.start()
            self._write_address()
            self._stack = stack.pop_all()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends user code, then the services, then releases the data folder."""
        self._stack.close()

    @property
    def address(self) -> str:
        """The address for clients on this machine, `grpc://<host>:<port>`."""
        return f"grpc://{on_this_machine(self._host)}:{self.port}"

    @property
    def description(self) -> dict[str, str | int]:
        """The contents of server.json."""
        return {"address": self.address, "pid": os.getpid(), "version": wire_version()}

    def _files(self) -> handlers.Calls:
        files = FileService(self.store)
        return files.calls() | file_set_calls(self.store, files)

    def _sidecar_services(self) -> dict[str, handlers.Calls]:
        pfs = PfsService(Joining(self.store)).calls() | self._files()
        return {
            "pfs_v2.API": pfs,
            "auth_v2.API": auth.AuthService(self.store).calls(),
            "versionpb_v2.API": cluster.version_calls(),
        }

    def _services(self) -> dict[str, handlers.Calls]:
        joining = Joining(self.store)
        pfs, pipelines = PfsService(joining), PipelineService(joining)
        operations = {name: getattr(pfs.operations, name) for name in _JOINING_PFS}
        operations |= {name: getattr(pipelines.operations, name) for name in _JOINING_PPS}
        transactions = TransactionService(self.store, operations)
        joining.join = transactions.join
        jobs = JobService(joining, self._logs, self.manager.working)
        return {
            "pfs_v2.API": pfs.calls()
            | self._files()
            | auth.activation_calls(self.store, state.bind_existing, pfs_api.ActivateAuthResponse),
            "pps_v2.API": pipelines.calls()
            | jobs.calls()
            | SettingService(self.store).calls()
            | auth.activation_calls(self.store, owners.bind_existing, pps_api.ActivateAuthResponse),
            "auth_v2.API": auth.AuthService(self.store).calls(),
            "transaction_v2.API": transactions.calls(),
            "metadata.API": metadata.calls(self.store),
            "versionpb_v2.API": cluster.version_calls(),
            "admin_v2.API": cluster.admin_calls(self.store),
            "grpc.health.v1.Health": cluster.health_calls(),
            "kfp_pachyderm.embedded.Locator": local.locator_calls(self.manager),
            "kfp_pachyderm.embedded.Faults": local.fault_calls(self.manager),
        }

    def _listen(self, port: int) -> tuple[handlers.Server, int]:
        try:
            return handlers.serve(self._services(), self._host, port, THREADS, Gate(self.store))
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
