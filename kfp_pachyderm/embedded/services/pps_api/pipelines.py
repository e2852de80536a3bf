"""pps_v2.API: pipelines."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pachyderm_sdk.api import pfs, pps, transaction

from kfp_pachyderm.embedded.auth import guard, owners, state
from kfp_pachyderm.embedded.auth.roles import PROJECT
from kfp_pachyderm.embedded.auth.state import Resource
from kfp_pachyderm.embedded.fields import has
from kfp_pachyderm.embedded.pps import images, jobs, pipelines, spec
from kfp_pachyderm.embedded.pps.jobs import Job, JobKey
from kfp_pachyderm.embedded.pps.pipelines import Pipeline, PipelineKey, key_of
from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.services.context import Joining
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.services.pps_api import settings
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import repos
from kfp_pachyderm.embedded.store.sqlite.database import Txn
from kfp_pachyderm.protocol.protobuf import field, fields, number

#: Numbers of fields of PipelineInfo.
_DETAILS, _METADATA = 12, 15

_BAD = (pps.JobState.JOB_KILLED, pps.JobState.JOB_FAILURE, pps.JobState.JOB_UNRUNNABLE)


class Operations:
    """The calls that may join a transaction."""

    def create_pipeline_v2(self, txn: Txn, request: pps.CreatePipelineTransaction) -> handlers.Empty:
        """CreatePipeline and CreatePipelineV2."""
        wanted = request.create_pipeline_request
        old = pipelines.find(txn.db, key_of(wanted.pipeline)) if wanted.pipeline.name else None
        pipelines.create(txn, wanted, request.user_json, request.effective_json)
        owners.made(txn, key_of(wanted.pipeline), old)
        return handlers.Empty()

    def stop_job(self, txn: Txn, request: pps.StopJobRequest) -> handlers.Empty:
        """StopJob."""
        stop_job(txn, jobs.get(txn.db, job_key(request.job)), request.reason)
        return handlers.Empty()

    def update_job_state(self, txn: Txn, request: pps.UpdateJobStateRequest) -> handlers.Empty:
        """UpdateJobState. Only state and reason are used: the server counts datums itself."""
        jobs.set_state(txn, jobs.get(txn.db, job_key(request.job)), request.state, request.reason)
        return handlers.Empty()


def stop_job(txn: Txn, job: Job, reason: str) -> None:
    """Kills a job, if the caller may write its output repo."""
    guard.check_repo(txn.db, PipelineKey(*job.key[:2]).repo(), "REPO_WRITE")
    jobs.stop(txn, job, reason)


def job_key(job: pps.Job) -> JobKey:
    """The key of a client's Job message."""
    if not job.id and not job.pipeline.name:
        raise Refused("must specify a job")
    return JobKey(*key_of(job.pipeline), job.id)


class PipelineService:
    """Pipelines of pps_v2.API.

    Args:
        joining: the store, and how a call joins a transaction.
    """

    def __init__(self, joining: Joining) -> None:
        self._joining = joining
        self._store = joining.store
        self.operations = Operations()

    def calls(self) -> handlers.Calls:
        """The calls by their names on the wire."""
        unary, stream = handlers.unary, handlers.stream
        return {
            "CreatePipeline": unary(self._create, pps.CreatePipelineRequest),
            "CreatePipelineV2": unary(self._create_v2, pps.CreatePipelineV2Request),
            "InspectPipeline": unary(self._inspect, pps.InspectPipelineRequest),
            "ListPipeline": stream(self._list, pps.ListPipelineRequest),
            "DeletePipeline": unary(self._delete, pps.DeletePipelineRequest),
            "DeletePipelines": unary(self._delete_many, pps.DeletePipelinesRequest),
            "StartPipeline": unary(self._start, pps.StartPipelineRequest),
            "StopPipeline": unary(self._stop, pps.StopPipelineRequest),
            "RerunPipeline": unary(self._rerun, pps.RerunPipelineRequest),
            "RunPipeline": unary(self._run, pps.RunPipelineRequest),
            "RunCron": unary(self._run_cron, pps.RunCronRequest),
            "PipelinesSummary": unary(self._summary, pps.PipelinesSummaryRequest),
        }

    def _submit(self, context: Context, request: pps.CreatePipelineTransaction) -> None:
        wrapped = transaction.TransactionRequest(create_pipeline_v2=request)
        self._joining.run(context, wrapped, lambda txn: self.operations.create_pipeline_v2(txn, request))

    def _create(self, request: pps.CreatePipelineRequest, context: Context) -> handlers.Empty:
        text = _json(request)
        self._submit(context, _wrapped(request, text, request.update, request.reprocess))
        return handlers.Empty()

    def _create_v2(
        self, request: pps.CreatePipelineV2Request, context: Context
    ) -> pps.CreatePipelineV2Response:
        text = request.create_pipeline_request_json
        found, effective = spec.from_json(text, *self._defaults(text))
        if not has(found, "pipeline"):
            raise Refused("request.Pipeline cannot be nil")
        if not found.pipeline.project.name:
            found.pipeline.project = pfs.Project(name="default")
        if not request.dry_run:
            self._submit(context, _transaction(found, text, effective, request.update, request.reprocess))
        return pps.CreatePipelineV2Response(effective_create_pipeline_request_json=_json(found))

    def _inspect(self, request: pps.InspectPipelineRequest, _: Context) -> bytes:
        return self._encode(pipelines.get(self._store.read(), key_of(request.pipeline)), request.details)

    def _encode(self, pipeline: Pipeline, details: bool) -> bytes:
        """A PipelineInfo as it is stored, with its present state (src/pps/pps.proto, PipelineInfo).

        Of a number or text that is there twice the last one counts (protobuf.dev, "Encoding").
        """
        stored = dict(fields(pipeline.encoded))
        kept = {key: value for key, value in stored.items() if key not in (_DETAILS, _METADATA)}
        pairs = (
            field(1, key.encode()) + field(2, value.encode()) for key, value in pipeline.metadata.items()
        )
        present = [number(4, pipeline.stopped), number(8, self._last_job_state(pipeline)), *_state(pipeline)]
        inside = stored.get(_DETAILS, b"")
        if details and isinstance(inside, bytes):
            workers = 0 if pipeline.stopped else 1
            present.append(field(_DETAILS, inside + number(7, workers) + number(8, workers)))
        encoded = (number(key, one) if isinstance(one, int) else field(key, one) for key, one in kept.items())
        return b"".join((*encoded, *present, *(field(_METADATA, pair) for pair in pairs)))

    def _last_job_state(self, pipeline: Pipeline) -> int:
        where = "WHERE (project, pipeline) = (?, ?) ORDER BY seq DESC LIMIT 1"
        newest = jobs.select(self._store.read(), where, pipeline.key)
        return newest[0].state if newest else pps.JobState.JOB_STATE_UNKNOWN

    def _list(self, request: pps.ListPipelineRequest, _: Context) -> Iterator[bytes]:
        db = self._store.read()
        named = request.pipeline.name
        projects = [one.name for one in request.projects]
        for key in [key_of(request.pipeline)] if named else pipelines.keys(db):
            if (projects and key.project not in projects) or not guard.may_list(db, key.repo()):
                continue
            found = pipelines.versions(db, key)
            for pipeline in found if request.history < 0 else found[: request.history + 1]:
                yield self._encode(pipeline, True)

    def _delete(self, request: pps.DeletePipelineRequest, context: Context) -> handlers.Empty:
        if request.all:
            with self._store.database.write() as txn:
                for key in pipelines.keys(txn.db):
                    delete(txn, key, True, request.keep_repo)
            return handlers.Empty()
        # The real one, too, stops it in a transaction of its own (api_server.go, deletePipeline).
        stop = pps.StopPipelineRequest(pipeline=request.pipeline, must_exist=request.must_exist)
        self._stop(stop, context)
        with self._store.database.write() as txn:
            delete(txn, key_of(request.pipeline), request.force, request.keep_repo)
        return handlers.Empty()

    def _delete_many(self, request: pps.DeletePipelinesRequest, _: Context) -> pps.DeletePipelinesResponse:
        projects = {one.name for one in request.projects}
        with self._store.database.write() as txn:
            found = [key for key in pipelines.keys(txn.db) if request.all or key.project in projects]
            for key in found:
                delete(txn, key, True, request.keep_repo)
        return pps.DeletePipelinesResponse(pipelines=[message(key) for key in found])

    def _start(self, request: pps.StartPipelineRequest, _: Context) -> handlers.Empty:
        key = key_of(request.pipeline)
        with self._store.database.write() as txn:
            pipelines.get(txn.db, key)
            guard.check_repo(txn.db, key.repo(), "REPO_WRITE")
            pipelines.start(txn, key)
        return handlers.Empty()

    def _stop(self, request: pps.StopPipelineRequest, _: Context) -> handlers.Empty:
        key = key_of(request.pipeline)
        with self._store.database.write() as txn:
            if pipelines.find(txn.db, key) is not None:
                guard.check_repo(txn.db, key.repo(), "REPO_WRITE")
            pipelines.stop(txn, key, request.must_exist)
        return handlers.Empty()

    def _rerun(self, request: pps.RerunPipelineRequest, _: Context) -> handlers.Empty:
        # It joins no transaction (api_server.go, RerunPipeline).
        with self._store.database.write() as txn:
            info = pipelines.get(txn.db, key_of(request.pipeline)).info
            found, effective = spec.from_json(info.effective_spec_json)
            again = _transaction(found, info.user_spec_json, effective, True, request.reprocess)
            self.operations.create_pipeline_v2(txn, again)
        return handlers.Empty()

    def _run(self, _: pps.RunPipelineRequest, __: Context) -> handlers.Empty:
        # Pachyderm's own text (api_server.go, RunPipeline).
        raise Refused("unimplemented")

    def _run_cron(self, request: pps.RunCronRequest, _: Context) -> handlers.Empty:
        pipelines.get(self._store.read(), key_of(request.pipeline))
        # No pipeline has one: cron inputs are refused when a pipeline is made.
        raise Refused("pipeline doesn't have a cron input")

    def _summary(self, request: pps.PipelinesSummaryRequest, _: Context) -> pps.PipelinesSummaryResponse:
        db = self._store.read()
        wanted = [one.name for one in request.projects]
        found: dict[str, pps.PipelinesSummary] = {}
        for key in reversed(pipelines.keys(db)):
            project, pipeline = Resource(PROJECT, key.project), pipelines.find(db, key)
            if pipeline is None or (wanted and key.project not in wanted):
                continue  # deleted meanwhile, or not asked for
            if not guard.may(db, project, "PROJECT_LIST_REPO"):
                continue
            fresh = pps.PipelinesSummary(project=pfs.Project(name=key.project))
            summary = found.setdefault(key.project, fresh)
            summary.paused_pipelines += pipeline.stopped
            summary.active_pipelines += not pipeline.stopped
            summary.unhealthy_pipelines += self._last_job_state(pipeline) in _BAD
        return pps.PipelinesSummaryResponse(summaries=list(found.values()))

    def _defaults(self, text: str) -> list[str]:
        try:
            pipeline = json.loads(text)["pipeline"]
            project = (pipeline.get("project") or {}).get("name") or "default"
        except (ValueError, KeyError, TypeError, AttributeError):
            project = "default"
        return settings.defaults(self._store.read(), project)


def _state(pipeline: Pipeline) -> list[bytes]:
    """The encoded state of a pipeline, and its reason."""
    if pipeline.stopped:
        return [number(5, pps.PipelineState.PIPELINE_PAUSED)]
    image = pipeline.shared_info.details.transform.image
    if images.can_be_had(image):
        return [number(5, pps.PipelineState.PIPELINE_RUNNING)]
    return [number(5, pps.PipelineState.PIPELINE_CRASHING), field(6, images.problem(image).encode())]


def delete(txn: Txn, key: PipelineKey, force: bool, keep_repo: bool) -> None:
    """Removes a pipeline and its roles, if the caller may delete its output repo."""
    found = pipelines.find(txn.db, key)
    if found is not None:
        if state.active(txn.db) and repos.find_repo(txn.db, key.repo()) is not None:
            guard.check_repo(txn.db, key.repo(), "REPO_DELETE")
        owners.unbind(txn, found)
        pipelines.delete(txn, key, force, keep_repo)


def message(key: PipelineKey) -> pps.Pipeline:
    """A pipeline's name as a message."""
    return pps.Pipeline(project=pfs.Project(name=key.project), name=key.name)


def _json(request: pps.CreatePipelineRequest) -> str:
    # The JSON is made of a copy: `to_json` sets the message's unset fields.
    text: str = pps.CreatePipelineRequest().parse(bytes(request)).to_json()
    return text


def _wrapped(
    request: pps.CreatePipelineRequest, text: str, update: bool, reprocess: bool
) -> pps.CreatePipelineTransaction:
    request.update = request.reprocess = False
    return _transaction(request, text, _json(request), update, reprocess)


def _transaction(
    request: pps.CreatePipelineRequest, user_json: str, effective_json: str, update: bool, reprocess: bool
) -> pps.CreatePipelineTransaction:
    request.update, request.reprocess = update, reprocess
    return pps.CreatePipelineTransaction(
        create_pipeline_request=request, user_json=user_json, effective_json=effective_json
    )
