"""Checks of what steps have made in Pachyderm: pipelines, jobs, leftovers of dead runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from kfp_pachyderm.doctor.case import Case
from kfp_pachyderm.doctor.finding import Finding, not_looked, ok, warning
from kfp_pachyderm.errors import AuthenticationError, NotFoundError
from kfp_pachyderm.gc.find import find
from kfp_pachyderm.gc.leftover import Search, seconds
from kfp_pachyderm.gc.projects import TRIAL_PROJECT
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.pipeline_plan import is_of_step
from kfp_pachyderm.pachd.sdk import pfs, pps

#: Bytes that the sidecar of a step's pipeline should request. With less, its Go runtime spends most of its
#: time on garbage collection.
_MEMORY = 2**30
_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
#: The commands that delete a project.
REMOVE = (
    "pachctl delete pipeline --all --project {0}; pachctl delete repo --all --project {0}; "
    "pachctl delete project {0}"
)
#: Seconds after which a waiting job or an open transaction counts as left by a dead run.
_OLD = 3600.0
#: Seconds after which other leftovers are listed.
_WEEK = 7 * 86_400.0
_BROKEN = (pps.PipelineState.PIPELINE_CRASHING, pps.PipelineState.PIPELINE_FAILURE)
_BEGUN = (pps.JobState.JOB_CREATED, pps.JobState.JOB_STARTING, pps.JobState.JOB_RUNNING)


def pipelines(case: Case) -> list[pps.PipelineInfo]:
    """Returns the pipelines of the project that steps have made."""
    project = pfs.Project(name=case.project)
    every = case.pachd.pps.list_pipeline(details=True, projects=[project])
    return list(filter(is_of_step, every))


def memory(case: Case) -> Finding:
    """Checks the memory that the sidecars of the steps' pipelines request."""
    check, ours = "sidecar memory", pipelines(case)
    if not ours:
        return not_looked(check, f"no step has made a pipeline in project {case.project} yet")
    asked = {one.pipeline.name: one.details.sidecar_resource_requests for one in ours}
    small = [name for name, given in asked.items() if given and given.memory and size(given.memory) < _MEMORY]
    silent = [name for name, given in asked.items() if not (given and given.memory)]
    repair = 'say {"sidecar_resource_requests": {"memory": "1Gi"}} in the step\'s PipelineSpec'
    if small:
        return warning(check, f"less than 1 GiB: {_some(small)}; large outputs are slow", repair)
    if silent:
        return warning(
            check, f"left to Pachyderm's installation, which is not seen here: {_some(silent)}", repair
        )
    return ok(check, "the steps' pipelines ask for 1 GiB or more")


def size(quantity: str) -> float:
    """Returns the bytes of a Kubernetes quantity; infinity if it can't be read."""
    found = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", quantity)
    if not found or found[2] not in _UNITS:
        return float("inf")
    return float(found[1]) * _UNITS[found[2]]


def health(case: Case) -> Finding:
    """Finds pipelines of steps that are stopped or broken, and why."""
    broken = [one for one in pipelines(case) if one.state in _BROKEN or one.stopped]
    if not broken:
        return ok("pipelines", f"none of the steps' in project {case.project} is stopped or broken")
    told = "; ".join(f"{one.pipeline.name}: {one.reason or 'stopped'}" for one in broken[:5])
    repair = (
        "an image: HolderOptions(image=) or holder_image (docs/cluster.md); stopped: pachctl start pipeline"
    )
    return warning("pipelines", told, repair)


def running(case: Case) -> ClaimedJob | None:
    """Returns a job of a step whose user code runs, among the project's newest jobs; None: there is none."""
    ours = {one.pipeline.name for one in pipelines(case)}
    for info in _unfinished(case):
        job = ClaimedJob(case.project, info.job.pipeline.name, info.job.id)
        # The job may be another user's, or be deleted meanwhile.
        with suppress(AuthenticationError, NotFoundError):
            if job.pipeline in ours and works(case, job):
                return job
    return None


def works(case: Case, job: ClaimedJob) -> bool:
    """Returns whether the job's user code has begun; only then may DNS be asked for the job's name."""
    info = case.pachd.pps.inspect_job(job=job.message(), details=True)
    every = info.details.worker_status if info.details else []
    return any(one.job_id == job.id and one.datum_status.started.timestamp() > 0 for one in every)


def _unfinished(case: Case) -> Iterator[pps.JobInfo]:
    project = pfs.Project(name=case.project)
    every = case.pachd.pps.list_job(projects=[project], details=False, number=200)
    return (one for one in every if one.state in _BEGUN)


def leftovers(case: Case) -> list[Finding]:
    """Finds what dead runs have left in Pachyderm."""
    found = [*_old_jobs(case), *_old_transactions(case), *_trials(case), *_others(case)]
    return found or [ok("leftovers", "nothing of dead runs")]


def _old_jobs(case: Case) -> Iterator[Finding]:
    ours, now = {one.pipeline.name for one in pipelines(case)}, datetime.now(UTC)
    for info in _unfinished(case):
        hours = seconds(info.created, now) / 3600
        if info.job.pipeline.name in ours and info.state != pps.JobState.JOB_RUNNING and hours * 3600 > _OLD:
            name = f"{info.job.pipeline.name}@{info.job.id}"
            text = f"job {name} waits since {hours:.0f} h; the next ones of its pipeline wait behind it"
            yield warning("leftovers", text, f"pachctl stop job {name} --project {case.project}")


def _old_transactions(case: Case) -> Iterator[Finding]:
    now = datetime.now(UTC)
    for one in case.pachd.transactions.list_transaction().transaction_info:
        if seconds(one.started, now) > _OLD:
            text = f"transaction {one.transaction.id} was opened and never finished"
            yield warning("leftovers", text, f"pachctl delete transaction {one.transaction.id}")


def _trials(case: Case) -> Iterator[Finding]:
    now = datetime.now(UTC)
    for one in case.pachd.pfs.list_project():
        name = one.project.name
        if name.startswith(TRIAL_PROJECT) and seconds(one.created_at, now) > _OLD:
            text = f"project {name} of a doctor that died"
            yield warning("leftovers", text, REMOVE.format(name))


def _others(case: Case) -> Iterator[Finding]:
    """Finds what `kfp-pachyderm gc` would list, except jobs and transactions, which have own findings."""
    every = find(Search(case.pachd, case.project, _WEEK))
    found = [f"{one.kind} {one.name}" for one in every if one.kind not in ("job", "transaction")]
    if found:
        yield warning(
            "leftovers", _some(found), f"kfp-pachyderm gc --project {case.project}; --yes removes it"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
