"""pps_v2.API: jobs and their logs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pachyderm_sdk.api import pfs, pps, transaction

from kfp_pachyderm.embedded.auth import dropped, guard, owners, state
from kfp_pachyderm.embedded.pps import jobs, pipelines
from kfp_pachyderm.embedded.pps.jobs import Job, JobKey
from kfp_pachyderm.embedded.pps.pipelines import PipelineKey, key_of
from kfp_pachyderm.embedded.services import handlers, messages
from kfp_pachyderm.embedded.services.context import Joining, alive
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.services.pps_api.datums import DatumService
from kfp_pachyderm.embedded.services.pps_api.job_info import JobInfos
from kfp_pachyderm.embedded.services.pps_api.pipelines import Operations, job_key, stop_job
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import commits, repos
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.worker.logs import Logs
from kfp_pachyderm.embedded.worker.run.datum_runs import Working


class JobService:
    """Jobs, datums and logs of pps_v2.API.

    Args:
        joining: the store, and how a call joins a transaction.
        logs: all jobs' logs.
        working: returns the datum that a job works on; None: it works on none.
    """

    def __init__(self, joining: Joining, logs: Logs, working: Callable[[JobKey], Working | None]) -> None:
        self._joining, self._logs, self._working = joining, logs, working
        self._store = joining.store
        self._operations = Operations()
        self._infos = JobInfos(joining.store, working)

    def calls(self) -> handlers.Calls:
        """The calls by their names on the wire."""
        unary, stream = handlers.unary, handlers.stream
        return DatumService(self._store, self._working).calls() | {
            "InspectJob": unary(self._inspect, pps.InspectJobRequest),
            "InspectJobSet": stream(self._inspect_set, pps.InspectJobSetRequest),
            "ListJob": stream(self._list, pps.ListJobRequest),
            "ListJobSet": stream(self._list_sets, pps.ListJobSetRequest),
            "SubscribeJob": stream(self._subscribe, pps.SubscribeJobRequest),
            "StopJob": unary(self._joined("stop_job"), pps.StopJobRequest),
            "UpdateJobState": unary(self._joined("update_job_state"), pps.UpdateJobStateRequest),
            "DeleteJob": unary(self._delete, pps.DeleteJobRequest),
            "GetLogs": stream(self._get_logs, pps.GetLogsRequest),
        }

    def _joined(self, name: str) -> Any:
        operation = getattr(self._operations, name)

        def call(request: Any, context: Context) -> handlers.Empty:
            wrapped = transaction.TransactionRequest(**{name: request})
            self._joining.run(context, wrapped, lambda txn: operation(txn, request))
            return handlers.Empty()

        return call

    def _inspect(self, request: pps.InspectJobRequest, context: Context) -> bytes:
        job = jobs.get(self._store.read(), job_key(request.job))
        if request.wait:
            job = self._terminal(job, context)
        return self._infos.encode(job, request.details)

    def _terminal(self, job: Job, context: Context) -> Job:
        def look() -> Job | None:
            found = jobs.find(self._store.read(), job.key)
            if found is None:
                raise Refused(f"job {job.key.id} was deleted")
            return found if found.terminal else None

        found = self._store.database.wait(look, alive(context, self._store))
        if found is None:
            raise Refused("the stream for job updates closed unexpectedly")
        return found

    def _inspect_set(self, request: pps.InspectJobSetRequest, context: Context) -> Iterator[bytes]:
        for job in jobs.select(self._store.read(), "WHERE id = ? ORDER BY seq", (request.job_set.id,)):
            job = self._terminal(job, context) if request.wait else job
            yield self._infos.encode(job, request.details)

    def _list(self, request: pps.ListJobRequest, _: Context) -> Iterator[bytes]:
        db = self._store.read()
        order = "ASC" if request.reverse else "DESC"
        if request.pipeline.name:
            key = key_of(request.pipeline)
            guard.check_repo(db, key.repo(), "PIPELINE_LIST_JOB")
            pipelines.get(db, key)
            where, values = "WHERE (project, pipeline) = (?, ?)", tuple(key)
        else:
            where, values = "", ()
        rows = jobs.select(db, f"{where} ORDER BY seq {order}", values)
        found = self._within_history(self._on_commits(rows, request), request.history)
        projects = [one.name for one in request.projects]
        wanted = (job for job in found if not projects or job.key.project in projects)
        for job in itertools.islice(wanted, request.number or None):
            yield self._infos.encode(job, request.details, token=False)

    def _on_commits(self, rows: list[Job], request: pps.ListJobRequest) -> Iterator[Job]:
        """Yields the jobs that come from the request's input commits, and that the caller may see."""
        db = self._store.read()
        sets = [self._downstream_sets(one) for one in request.input_commit]
        for job in rows:
            # Without details no permission is checked (src/server/pps/server/api_server.go, ListJob).
            repo = state.of_repo(PipelineKey(*job.key[:2]).repo())
            if request.details and not guard.may(db, repo, "PIPELINE_LIST_JOB"):
                continue
            if sets:
                dropped.refuse_row()
            if all(job.key.id in one for one in sets):
                yield job

    def _within_history(self, found: Iterable[Job], history: int) -> Iterator[Job]:
        newest: dict[PipelineKey, pipelines.Pipeline | None] = {}
        for job in found:
            key = PipelineKey(*job.key[:2])
            if key not in newest:
                newest[key] = pipelines.find(self._store.read(), key)
            last = newest[key]  # None: it was deleted meanwhile, with its jobs
            if last and (history < 0 or job.version >= last.version - history):
                yield job

    def _downstream_sets(self, handle: pfs.Commit) -> set[str]:
        """Commit sets that come from a commit; its repo has to be named in full (intersectCommitSets)."""
        db = self._store.read()
        named = handle.repo
        repo = repos.find_repo(db, RepoKey(named.project.name, named.name, named.type))
        commit = commits.find(db, repo.id, handle.id) if repo else None
        return {one.set_id for one in _downstream(self._store, commit.id)} if commit else set()

    def _list_sets(self, request: pps.ListJobSetRequest, _: Context) -> Iterator[pps.JobSetInfo]:
        order = "ASC" if request.reverse else "DESC"
        found: dict[str, list[Job]] = {}
        for job in jobs.select(self._store.read(), f"ORDER BY seq {order}"):
            if not request.projects or job.key.project in [one.name for one in request.projects]:
                found.setdefault(job.key.id, []).append(job)
        for set_id, members in list(found.items())[: request.number or None]:
            infos = [self._infos.message(job, request.details) for job in members]
            yield pps.JobSetInfo(job_set=pps.JobSet(id=set_id), jobs=infos)

    def _subscribe(self, request: pps.SubscribeJobRequest, context: Context) -> Iterator[bytes]:
        key = key_of(request.pipeline)
        guard.check_repo(self._store.read(), key.repo(), "PIPELINE_LIST_JOB")
        is_alive = alive(context, self._store)
        last = 0
        where = "WHERE (project, pipeline) = (?, ?) AND finished IS NULL AND seq > ? ORDER BY seq LIMIT 1"
        while True:

            def look(after: int = last) -> Job | None:
                return next(iter(jobs.select(self._store.read(), where, (*key, after))), None)

            job = self._store.database.wait(look, is_alive)
            if job is None:
                return
            last = job.seq
            yield self._infos.encode(job, request.details)

    def _delete(self, request: pps.DeleteJobRequest, _: Context) -> handlers.Empty:
        with self._store.database.write() as txn:
            job = jobs.get(txn.db, job_key(request.job))
            stop_job(txn, job, "job deleted")
            jobs.delete(txn, job)
        return handlers.Empty()

    def _get_logs(self, request: pps.GetLogsRequest, context: Context) -> Iterator[pps.LogMessage]:
        if request.job.id:
            wanted = [jobs.get(self._store.read(), job_key(request.job))]
        elif request.pipeline.name:
            pipelines.get(self._store.read(), key_of(request.pipeline))
            where = "WHERE (project, pipeline) = (?, ?) ORDER BY seq"
            wanted = jobs.select(self._store.read(), where, key_of(request.pipeline))
        else:
            raise Refused("must specify either pipeline or job")
        for key in {PipelineKey(*job.key[:2]) for job in wanted}:
            self._check_logs(key)
        kept: list[pps.LogMessage] = []
        for job in wanted:
            follow = request.follow and bool(request.job.id)
            for line in self._lines(job, follow, context):
                if not request.datum.id or line.datum_id == request.datum.id:
                    if not request.tail:
                        yield line
                    else:
                        kept.append(line)
        yield from kept[-request.tail :] if request.tail else []

    def _check_logs(self, key: PipelineKey) -> None:
        db = self._store.read()
        for repo in (*owners.input_repos(pipelines.find(db, key)), key.repo()):
            guard.check_repo(db, repo, "REPO_READ")

    def _lines(self, job: Job, follow: bool, context: Context) -> Iterator[pps.LogMessage]:
        at = 0
        while True:
            found = jobs.find(self._store.read(), job.key)
            over = not follow or found is None or found.terminal
            for line, end in self._logs.lines(job.key, at):
                at = end
                yield _log_message(job, line)
            if over or not context.is_active():
                return
            size = at

            def grown(before: int = size) -> bool | None:
                now = jobs.find(self._store.read(), job.key)
                path = self._logs.path(job.key)
                more = path.exists() and path.stat().st_size > before
                return True if more or now is None or now.terminal else None

            self._store.database.wait(grown, alive(context, self._store))


def _downstream(store: Store, commit_id: int) -> list[commits.Commit]:
    seen: dict[int, commits.Commit] = {}
    waiting = commits.subvenance(store.read(), commit_id)
    while waiting:
        commit = waiting.pop()
        if commit.id not in seen:
            seen[commit.id] = commit
            waiting += commits.subvenance(store.read(), commit.id)
    return list(seen.values())


def _log_message(job: Job, line: dict[str, Any]) -> pps.LogMessage:
    return pps.LogMessage(
        project_name=job.key.project,
        pipeline_name=job.key.pipeline,
        job_id=job.key.id,
        worker_id=f"{job.key.pipeline}-embedded",
        datum_id=line["datum"],
        user=line["user"],
        ts=messages.timestamp(line["ts"]),
        message=line["message"],
    )
