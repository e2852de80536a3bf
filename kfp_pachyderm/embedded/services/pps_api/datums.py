"""pps_v2.API: datums of jobs, and of inputs that have no job."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice

from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded.auth import guard
from kfp_pachyderm.embedded.fields import has
from kfp_pachyderm.embedded.pps import inputs, jobs
from kfp_pachyderm.embedded.pps.jobs import Job, JobKey
from kfp_pachyderm.embedded.pps.pipelines import PipelineKey
from kfp_pachyderm.embedded.services import handlers, messages
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.services.pfs_api import pick
from kfp_pachyderm.embedded.services.pps_api.pipelines import job_key, message
from kfp_pachyderm.embedded.status import Refused, not_found
from kfp_pachyderm.embedded.store import commits
from kfp_pachyderm.embedded.store.files import layers, listing
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.worker import datums
from kfp_pachyderm.embedded.worker.run.datum_runs import Working

#: Datums that CreateDatum sends for one request that names no number.
_DATUM_BATCH = 100


class DatumService:
    """Datums of pps_v2.API.

    Args:
        store: the store.
        working: returns the datum that a job works on; None: it works on none.
    """

    def __init__(self, store: Store, working: Callable[[JobKey], Working | None]) -> None:
        self._store, self._working = store, working

    def calls(self) -> handlers.Calls:
        """The calls by their names on the wire."""
        unary, stream = handlers.unary, handlers.stream
        return {
            "InspectDatum": unary(self._inspect_datum, pps.InspectDatumRequest),
            "ListDatum": stream(self._list_datum, pps.ListDatumRequest),
            "RestartDatum": unary(self._restart_datum, pps.RestartDatumRequest),
            "CreateDatum": handlers.Call(
                self._create_datum, handlers.message(pps.CreateDatumRequest), "both"
            ),
        }

    def _restart_datum(self, request: pps.RestartDatumRequest, _: Context) -> handlers.Empty:
        job = jobs.get(self._store.read(), job_key(request.job))
        working, wanted = self._working(job.key), request.data_filters
        if working is None or not _matches(working.datum, wanted):
            text = " ".join(wanted)
            raise Refused(f"datum matching filter [{text}] could not be found for job ID {job.key.id}")
        raise Refused("restarting a datum is not implemented by the embedded Pachyderm", "UNIMPLEMENTED")

    def _create_datum(
        self, requests: Iterator[pps.CreateDatumRequest], _: Context
    ) -> Iterator[pps.DatumInfo]:
        first = next(requests, None)
        if first is None or not has(first, "start"):
            raise Refused("first message must be a StartCreateDatumRequest message")
        if not has(first.start, "input"):
            raise Refused("first message must specify an input")
        found = self._preview(first.start.input)
        number = first.start.number
        while True:
            batch = list(islice(found, number if number > 0 else _DATUM_BATCH))
            yield from batch
            if len(batch) < (number if number > 0 else _DATUM_BATCH):
                return
            following = next(requests, None)
            if following is None:
                return
            if not has(following, "continue_"):
                raise Refused("subsequent messages must be a ContinueCreateDatumRequest message")
            number = following.continue_.number

    def _preview(self, given: pps.Input) -> Iterator[pps.DatumInfo]:
        inputs.set_defaults(given, "default", "")
        inputs.validate(given)
        for one in inputs.pfs_inputs(given):
            guard.check_repo(self._store.read(), RepoKey(one.project, one.repo, one.repo_type), "REPO_READ")
        for datum in datums.preview(self._store, self._head, given):
            data = [self._file(file.commit.id, file.path) for file in datum.files]
            yield pps.DatumInfo(datum=pps.Datum(id=datum.id), data=data)

    def _head(self, given: pps.PfsInput) -> commits.Commit:
        repo = pfs.Repo(name=given.repo, type=given.repo_type, project=pfs.Project(name=given.project))
        branch = pfs.Branch(repo=repo, name=given.branch)
        return pick.commit(self._store.read(), pfs.Commit(repo=repo, branch=branch))

    def _datums(self, job: Job) -> Iterator[pps.DatumInfo]:
        query = "SELECT id, state, files FROM datums WHERE job = ? ORDER BY position"
        for datum_id, found, files in self._store.read().execute(query, (job.seq,)).fetchall():
            yield pps.DatumInfo(
                datum=pps.Datum(
                    job=pps.Job(pipeline=message(PipelineKey(*job.key[:2])), id=job.key.id), id=datum_id
                ),
                state=pps.DatumState(found),
                data=[self._file(commit, path) for _, commit, path in json.loads(files)],
            )

    def _file(self, commit_id: int, path: str) -> pfs.FileInfo:
        commit = commits.by_id(self._store.read(), commit_id)
        shown = self._store.layers(commit)
        file = layers.inspect(self._store.read(), shown, path)
        entry = file or listing.inspect(self._store.read(), shown, path)
        if entry is None:
            return pfs.FileInfo(file=pfs.File(commit=messages.commit(commit), path=path))
        return pfs.FileInfo().parse(messages.FileInfos(commit).encode(entry.path, entry.size, entry.hash))

    def _inspect_datum(self, request: pps.InspectDatumRequest, _: Context) -> pps.DatumInfo:
        if not request.datum.id:
            raise Refused("must specify a datum")
        job = jobs.get(self._store.read(), job_key(request.datum.job))
        for info in self._datums(job):
            if info.datum.id == request.datum.id:
                return info
        raise not_found(f"datum {request.datum.id} not found in job {job.key}")

    def _list_datum(self, request: pps.ListDatumRequest, _: Context) -> Iterator[pps.DatumInfo]:
        if has(request, "input"):
            if has(request, "job"):
                raise Refused("cannot specify both job and input")
            found = self._preview(request.input)
        else:
            found = self._datums(jobs.get(self._store.read(), job_key(request.job)))
        wanted = list(request.filter.state)
        sent = 0
        for info in found:
            if not wanted or info.state in wanted:
                yield info
                sent += 1
                if sent == request.number:
                    return


def _matches(datum: datums.Datum, wanted: list[str]) -> bool:
    known = {datum.id, *(one.path for one in datum.files)}
    return all(one in known for one in wanted)
