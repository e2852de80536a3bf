"""Encodes JobInfo messages by hand: a step that waits for its job asks for it again and again.

Fields: Pachyderm src/pps/pps.proto, JobInfo.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.auth import guard
from kfp_pachyderm.embedded.fields import given, has
from kfp_pachyderm.embedded.pps import inputs, pipelines
from kfp_pachyderm.embedded.pps.jobs import Job, JobKey
from kfp_pachyderm.embedded.pps.pipelines import PipelineKey
from kfp_pachyderm.embedded.services.messages import commit_name, moment
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.worker.run.datum_runs import Working
from kfp_pachyderm.protocol.protobuf import field, number

#: Fields that the details of a job have from its pipeline.
_COPIED = (
    "transform", "parallelism_spec", "egress", "resource_requests", "resource_limits",
    "sidecar_resource_limits",
    "sidecar_resource_requests", "salt", "datum_set_spec", "datum_timeout", "job_timeout", "datum_tries",
    "scheduling_spec", "pod_spec", "pod_patch",
)  # fmt: skip


class JobInfos:
    """Jobs as messages.

    Args:
        store: the store.
        working: returns the datum that a job works on; None: it works on none.
    """

    def __init__(self, store: Store, working: Callable[[JobKey], Working | None]) -> None:
        self._store, self._working = store, working

    def encode(self, job: Job, details: bool, token: bool = True) -> bytes:
        """One JobInfo.

        Args:
            job: the job.
            details: whether with details, for which the caller needs PIPELINE_LIST_JOB.
            token: whether with the job's token.
        """
        numbers = (
            (2, job.version), (4, job.restart), (5, job.processed), (6, job.skipped), (7, job.total),
            (8, job.failed), (9, job.recovered), (11, job.state),
        )  # fmt: skip
        times = ((13, job.created), (14, job.started), (15, job.finished))
        return b"".join(
            (
                field(1, _name(job.key)),
                field(3, commit_name(RepoKey(*job.key[:2]), job.key.id)),
                *(number(key, value) for key, value in numbers if value),
                # pachctl reads `stats` without checking that it is set.
                field(10, b""),
                field(12, job.reason.encode()) if job.reason else b"",
                *(field(key, moment(micros)) for key, micros in times if micros is not None),
                field(16, self._details(job)) if details else b"",
                field(17, job.token.encode()) if job.token and token else b"",
            )
        )

    def message(self, job: Job, details: bool) -> pps.JobInfo:
        """One JobInfo as a message of betterproto, for a message that holds several."""
        return pps.JobInfo().parse(self.encode(job, details))

    def _details(self, job: Job) -> bytes:
        key, db = PipelineKey(*job.key[:2]), self._store.read()
        guard.check_repo(db, key.repo(), "PIPELINE_LIST_JOB")
        found = _details_of_spec(pipelines.get(db, key, job.version).encoded, job.key.id)
        working = self._working(job.key) if job.state == pps.JobState.JOB_RUNNING else None
        return found if working is None else found + field(6, _worker_status(job, working))


def _name(key: JobKey) -> bytes:
    pipeline = field(2, field(1, key.project.encode())) + field(1, key.pipeline.encode())
    return field(1, pipeline) + field(2, key.id.encode())


@lru_cache(64)
def _details_of_spec(pipeline: bytes, job_id: str) -> bytes:
    """The part of a job's details that its pipeline says; betterproto takes milliseconds for it."""
    info = pps.PipelineInfo().parse(pipeline)
    found = {name: given(info.details, name) for name in _COPIED}
    details = pps.JobInfoDetails(**{name: value for name, value in found.items() if value is not None})
    if has(info.details, "input"):
        for one in inputs.pfs_inputs(info.details.input):
            one.commit = job_id
        details.input = info.details.input
    return bytes(details)


def _worker_status(job: Job, working: Working) -> bytes:
    data = (field(2, field(1, one.path.encode())) for one in working.datum.files)
    status = field(1, moment(working.started)) + b"".join(data)
    return b"".join(
        (
            field(1, f"{job.key.pipeline}-embedded".encode()),
            field(2, job.key.id.encode()),
            field(3, status),
        )
    )
