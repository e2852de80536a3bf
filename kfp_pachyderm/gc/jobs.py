"""Finds jobs that wait though their step is dead, and transactions that no step finishes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.gc.leftover import InUseError, Leftover, Search
from kfp_pachyderm.gc.owned import our_pipelines
from kfp_pachyderm.pachd.claims.turns import is_turn
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.pipeline_plan import OWNER, OWNER_KEY
from kfp_pachyderm.pachd.sdk import pfs, pps, transaction

#: Only these states: a job whose user code runs has a holder, whose lease ends it when its step is dead.
_WAITING = (pps.JobState.JOB_CREATED, pps.JobState.JOB_STARTING)
_REASON = "nothing has run in it for so long that its step is taken for dead (kfp-pachyderm gc)"


def waiting(search: Search) -> Iterator[Leftover]:
    """Yields jobs that have waited longer than any step waits."""
    for info in our_pipelines(search):
        project, name = info.pipeline.project.name, info.pipeline.name
        try:
            every = jobs.newest(search.pachd, project, name)
        except PachydermError as error:
            search.told.append(f"jobs of pipeline {project}/{name}: {error}")
            continue
        yield from (_stopped(search, job) for job in every if _is_forgotten(search, job))


def _is_forgotten(search: Search, job: pps.JobInfo) -> bool:
    return job.state in _WAITING and search.is_old(job.created, sure=False)


def _stopped(search: Search, info: pps.JobInfo) -> Leftover:
    job = ClaimedJob(info.job.pipeline.project.name, info.job.pipeline.name, info.job.id)
    why = "it waits, and the next jobs of its pipeline wait behind it"
    return Leftover("job", str(job.output), info.created, 0, why, "stop", partial(_stop, search, job))


def _stop(search: Search, job: ClaimedJob) -> None:
    """Stops the job, unless it has begun since it was found."""
    if not _is_forgotten(search, jobs.inspect(search.pachd, job)):
        raise InUseError(f"job {job.output} has begun, or ended, meanwhile")
    jobs.stop(search.pachd, job, _REASON)


def transactions(search: Search) -> Iterator[Leftover]:
    """Yields transactions in which a step began to claim its job, and was killed."""
    every = search.pachd.repeated(search.pachd.transactions.list_transaction, "ListTransaction")
    for one in every.transaction_info:
        if _is_ours(one, search.project) and search.is_old(one.started, sure=False):
            why = "a step began to claim its job in it, and never finished it"
            remove = partial(search.pachd.transactions.delete_transaction, transaction=one.transaction)
            yield Leftover("transaction", one.transaction.id, one.started, 0, why, "delete", remove)


def _is_ours(info: transaction.TransactionInfo, project: str | None) -> bool:
    """Tells whether the transaction deletes a turn branch, or makes a pipeline with our mark, as steps do."""
    for one in info.requests:
        given_up = one.delete_branch.branch
        wanted = one.create_pipeline_v2.create_pipeline_request
        if is_turn(given_up.name) and _is_in(given_up.repo.project, project):
            return True
        if wanted.metadata.annotations.get(OWNER_KEY) == OWNER and _is_in(wanted.pipeline.project, project):
            return True
    return False


def _is_in(found: pfs.Project, project: str | None) -> bool:
    return project is None or (found.name or "default") == project
