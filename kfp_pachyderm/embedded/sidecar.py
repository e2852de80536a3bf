"""A job's sidecar: its S3 gateway and PFS by gRPC, each on a port of its own.

The real one is a pachd beside the worker: S3 on port 1600, gRPC on 1653 of the job's Service
(Pachyderm src/server/pps/server/s3g_sidecar.go, src/internal/pachd/sidecar.go).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.auth import guard, state
from kfp_pachyderm.embedded.auth.gate import Gate
from kfp_pachyderm.embedded.auth.view import GuardedView
from kfp_pachyderm.embedded.gateway.app import gateway_app
from kfp_pachyderm.embedded.gateway.job_buckets import Bucket, JobBuckets
from kfp_pachyderm.embedded.pps import inputs
from kfp_pachyderm.embedded.pps.jobs import Job, JobKey
from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.store import commits, repos
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.worker.datums import input_commit
from kfp_pachyderm.s3.http.server import S3Server

_THREADS = 32
#: Where the real gateway keeps the parts of multipart uploads (Pachyderm src/server/pfs/s3/multipart.go).
_PARTS = RepoKey("default", "_s3gateway_multipart_", "user")


def service_name(key: JobKey) -> str:
    """The name of a job's Service (Pachyderm src/internal/ppsutil/util.go, SidecarS3GatewayService)."""
    return "s3-" + hashlib.md5(f"{key.project}/{key.pipeline}{key.id}".encode()).hexdigest()


def job_buckets(store: Store, job: Job, details: pps.PipelineInfoDetails) -> JobBuckets:
    """The buckets of a job: its S3 inputs and, with s3_out, its output."""
    db = store.read()
    buckets = {}
    for one in inputs.pfs_inputs(details.input):
        if one.s3:
            buckets[one.name] = _bucket(store, one.name, input_commit(db, job, one), job, False)
    if details.s3_out:
        buckets["out"] = _bucket(store, "out", commits.by_id(db, job.output), job, True)
    # A job from before auth was turned on has the token "". Only other principals' tokens are accepted then.
    name, token = service_name(job.key), job.token if state.active(db) else None
    if token is None:
        return JobBuckets(name, buckets)
    return JobBuckets(name, buckets, token, partial(_sign_in, store), partial(_check_upload, store))


def _sign_in(store: Store, token: str) -> bool:
    """Whether the token is a principal's; the request is then checked with that principal's permissions."""
    caller = guard.signed_in(store.read(), token)
    guard.enter(caller)
    return caller.problem is None


def _check_upload(store: Store) -> None:
    """Refuses a caller who may not write the repo of the parts. The first caller makes and owns that repo."""
    with store.database.write() as txn:
        if repos.find_repo(txn.db, _PARTS) is None:
            repos.create_repo(txn, _PARTS)
            guard.own(txn, state.of_repo(_PARTS), "repoOwner")
        guard.check_repo(txn.db, _PARTS, "REPO_WRITE")


def _bucket(store: Store, name: str, commit: Commit, job: Job, writable: bool) -> Bucket:
    made = repos.repo_by_id(store.read(), commit.repo_id).created
    return Bucket(
        name, writable, job.key.id, datetime.fromtimestamp(made / 1e6, UTC), GuardedView(store, commit)
    )


class Sidecar:
    """One job's sidecar. It listens until `close`; a context manager.

    Args:
        store: the store.
        job: the job.
        details: the details of the job's pipeline.
        services: the gRPC services that pachd and sidecar share.
        host: the IPv4 address to listen on.

    Attributes:
        s3_port: the port of the S3 gateway.
        grpc_port: the port of PFS by gRPC.
    """

    def __init__(
        self,
        store: Store,
        job: Job,
        details: pps.PipelineInfoDetails,
        services: dict[str, handlers.Calls],
        host: str,
    ) -> None:
        self._buckets = job_buckets(store, job, details)
        self._services, self._gate, self._host = services, Gate(store), host
        self._app: Any = None
        self._listening = threading.Lock()
        self._closed = threading.Event()
        self.s3_port = self.grpc_port = 0
        self._listen()

    def _listen(self) -> None:
        with ExitStack() as stack:
            host, gate = self._host, self._gate
            server, self.grpc_port = handlers.serve(self._services, host, self.grpc_port, _THREADS, gate)
            stack.callback(lambda: server.stop(None).wait(5))
            self.s3_port = stack.enter_context(S3Server(self._serve, self.s3_port, host)).port
            own_hosts = None if host == "0.0.0.0" else frozenset({f"{host}:{self.s3_port}"})
            self._app = gateway_app(self._buckets, own_hosts)
            self._stack = stack.pop_all()

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # The application needs the port, which is known only once the server listens.
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def __enter__(self) -> Sidecar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops both listeners; open requests are cut off, as when the job's Service goes away."""
        self._closed.set()
        with self._listening:
            self._stack.close()

    def kill(self, seconds: float) -> None:
        """Stops both listeners, as if the container were killed; starts them again after `seconds`."""
        with self._listening:
            self._stack.close()
            if not self._closed.wait(seconds):
                self._listen()
