"""What only the embedded Pachyderm answers: where a job is reached, and faults for tests, as JSON."""

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
from kfp_pachyderm.embedded.worker.run import JobRun


def _json_call(function: Callable[[dict[str, Any]], Any]) -> handlers.Call:
    def call(request: bytes, _: Context) -> bytes:
        try:
            given = json.loads(request)
            answer = function(given)
        except (ValueError, KeyError, TypeError) as error:
            raise invalid(f"no such request: {error!r}") from error
        return json.dumps(answer).encode()

    return handlers.Call(call, handlers.already_bytes, write=handlers.already_bytes)


def locator_calls(manager: Manager) -> handlers.Calls:
    """…Locator: Locate {project, pipeline, job} → {holder, sidecar_grpc, sidecar_s3}."""

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
    """…Faults, for the running job of a pipeline, {project, pipeline}; each answers whether there is one.

    ReplaceWorker: the worker is lost and another one takes over. Everything starts again.
    ReplaceWorkerAtTheEnd: the same, after user code has ended and before the job has.
    KillSidecar, also {seconds}: S3 and gRPC are away that long, the output is kept; when user code has ended
    well, everything starts again, and the job's `restart` counts it. So a real Pachyderm does it.
    StartWorkers, {seconds} alone: how long from now on the worker of each new version of a pipeline takes to
    start; answers the seconds before. A real one takes four and more.
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
