"""Calls of the embedded Pachyderm alone, as JSON: the addresses of a running job, and faults for tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kfp_pachyderm.embedded.pps.jobs import JobKey
from kfp_pachyderm.embedded.pps.pipelines import PipelineKey
from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.status import invalid, not_found
from kfp_pachyderm.embedded.worker.manager import Manager
from kfp_pachyderm.embedded.worker.run.job_run import JobRun


def _json_call(function: Callable[[dict[str, Any]], Any]) -> handlers.Call:
    def call(request: bytes, _: Context) -> bytes:
        try:
            given = json.loads(request)
            answer = function(given)
        except (ValueError, KeyError, TypeError) as error:
            raise invalid(f"malformed request: {error!r}") from error
        return json.dumps(answer).encode()

    return handlers.Call(call, handlers.already_bytes, write=handlers.already_bytes)


def locator_calls(manager: Manager) -> handlers.Calls:
    """kfp_pachyderm.embedded.Locator.

    Locate: {project, pipeline, job} → {holder, sidecar_grpc, sidecar_s3}, the addresses of a running job.
    """

    def locate(given: dict[str, Any]) -> dict[str, str]:
        key = JobKey(given["project"], given["pipeline"], given["job"])
        working = manager.working(key)
        if working is None:
            raise not_found(f"job {key} is unknown, over, or no datum of it has started")
        ports = working.ports
        return {
            "holder": f"http://{ports.host}:{ports.holder}",
            "sidecar_grpc": f"grpc://{ports.host}:{ports.grpc}",
            "sidecar_s3": f"http://{ports.host}:{ports.s3}",
        }

    return {"Locate": _json_call(locate)}


def fault_calls(manager: Manager) -> handlers.Calls:
    """kfp_pachyderm.embedded.Faults: faults in the running job of a pipeline, {project, pipeline}.

    ReplaceWorker: the worker is lost and another takes over. The job starts again, with an empty output.
    ReplaceWorkerAtTheEnd: the same, after user code has ended and before the job has.
    KillSidecar, also {seconds}: the sidecar's S3 and gRPC are away that long, the output is kept. When user
    code has exited with 0, the job starts again, with an empty output, and its `restart` is one more. A real
    Pachyderm does the same (measured).
    Each of these answers whether the pipeline has a running job.

    StartWorkers, {seconds} alone: sets how long the worker of each new version of a pipeline takes to start;
    answers the former value. A real worker takes four seconds and more.
    """

    def fault(act: Callable[[JobRun, dict[str, Any]], None]) -> handlers.Call:
        def call(given: dict[str, Any]) -> bool:
            run = manager.running(PipelineKey(given["project"], given["pipeline"]))
            if run is not None:
                act(run, given)
            return run is not None

        return _json_call(call)

    def start_workers(given: dict[str, Any]) -> float:
        before, manager.worker_start = manager.worker_start, float(given["seconds"])
        return before

    return {
        "StartWorkers": _json_call(start_workers),
        "ReplaceWorker": fault(lambda run, _: run.replace()),
        "ReplaceWorkerAtTheEnd": fault(lambda run, _: run.replace_at_the_end()),
        "KillSidecar": fault(lambda run, given: run.kill_sidecar(given["seconds"])),
    }
