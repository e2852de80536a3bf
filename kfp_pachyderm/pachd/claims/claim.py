"""The claim: one transaction moves a step's claim branches and sees to its pipeline, which makes one job."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

import grpc

from kfp_pachyderm.errors import NotFoundError, PachydermError, PachydermUnreachableError, TemporaryError
from kfp_pachyderm.pachd.claims.fence import fenced
from kfp_pachyderm.pachd.claims.ownership import inspect_owned, mark, mark_project, new_claims
from kfp_pachyderm.pachd.claims.turns import (
    TakenError,
    Turns,
    give_up,
    job_in_one_call,
    job_of,
    make,
    new_turn,
    turns,
)
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.polling import looks
from kfp_pachyderm.pachd.connection.status_codes import code_of
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.job import unfinished
from kfp_pachyderm.pachd.pipeline_plan import PipelinePlan, claim_branch, is_current, output_branch, spec
from kfp_pachyderm.pachd.references import commit_message
from kfp_pachyderm.pachd.sdk import pfs, pps, transaction

logger = logging.getLogger(__name__)


def claim(
    pachd: Pachd,
    plan: PipelinePlan,
    found: pps.PipelineInfo | None,
    deadline: float,
) -> ClaimedJob:
    """Makes exactly one job of the plan's pipeline on the plan's commits. It queues behind earlier jobs.

    Args:
        pachd: the connection.
        plan: the pipeline and its pinned inputs.
        found: the result of `inspect_owned` for the pipeline, just made.
        deadline: `time.monotonic()` until which it is tried.

    Raises:
        PipelineNotOwnedError: kfp-pachyderm did not make the pipeline, or a repo of its name. Nothing is
            changed.
        PachydermError: pachd's last error.
        TakenError: the pipeline has to be changed for the plan: see `claim_change`.
    """
    wanted = spec(plan)

    def attempt(again: bool) -> ClaimedJob:
        nonlocal found
        if again:
            found = inspect_owned(pachd, plan)
        if found and not is_current(found, wanted):
            raise TakenError(str(plan))
        try:
            return _try(pachd, plan, wanted, found, frozenset())
        except NotFoundError as error:
            _check_project(pachd, plan, error)
            raise

    return _marked(pachd, plan, found, trying(pachd, plan, deadline, attempt))


def claim_change(pachd: Pachd, plan: PipelinePlan, deadline: float) -> ClaimedJob:
    """Updates the plan's pipeline, and makes exactly one job of it, if it has no unfinished job.

    Args:
        pachd: the connection.
        plan: the pipeline and its pinned inputs.
        deadline: `time.monotonic()` until which it is tried.

    Raises:
        TakenError: the pipeline has an unfinished job, which the update would kill, or needs no update now.
        PipelineNotOwnedError, PachydermError: as of `claim`.
    """

    def attempt(_: bool) -> ClaimedJob:
        # Of several steps that want to change the pipeline at once, one ends the others' turns.
        if not turns(pachd, plan.project, plan.name):
            make(pachd, plan)
        seen, found = turns(pachd, plan.project, plan.name), inspect_owned(pachd, plan)
        if found is None or is_current(found, spec(plan)):
            raise TakenError(str(plan))
        return claim_turn(pachd, plan, found, seen, new_turn())

    return trying(pachd, plan, deadline, attempt)


def claim_turn(
    pachd: Pachd, plan: PipelinePlan, found: pps.PipelineInfo | None, seen: Turns, own: str
) -> ClaimedJob:
    """Makes exactly one job of a pipeline that is free, or none if another step was quicker. It tries once.

    Args:
        pachd: the connection.
        plan: the pipeline and its pinned inputs.
        found: the result of `inspect_owned` for the pipeline, just made.
        seen: the pipeline's turns as they were before the pipeline was found free. If another step has taken
            one since, nothing is changed.
        own: the turn to make. After an error that may pass, pachd may still make the job, with this turn.

    Raises:
        PipelineNotOwnedError: kfp-pachyderm did not make the pipeline, or a repo of its name. Nothing is
            changed.
        PachydermError: pachd's error.
        TakenError: another step was quicker, or an update would kill a job.
    """
    wanted = spec(plan)
    try:
        if found and not is_current(found, wanted):
            job = _change(pachd, plan, wanted, found, seen)
        elif found and seen:
            job = _in_one_call(pachd, plan, seen, own)
        else:
            job = _try(pachd, plan, wanted, found, seen)
    except PachydermError as error:
        if _was_taken(pachd, plan, seen, error):
            raise TakenError(str(plan)) from error
        if isinstance(error, NotFoundError):
            _check_project(pachd, plan, error)
        raise
    return _marked(pachd, plan, found, job)


def _change(
    pachd: Pachd, plan: PipelinePlan, wanted: dict[str, Any], found: pps.PipelineInfo, seen: Turns
) -> ClaimedJob:
    """As `_try`, but behind a fence: not every step takes turns, and the update kills unfinished jobs."""
    with fenced(pachd, output_branch(found)) as soon:
        if unfinished(soon, ClaimedJob(plan.project, plan.name, "")):
            raise TakenError(str(plan))
        return _try(soon, plan, wanted, found, seen)


def _marked(pachd: Pachd, plan: PipelinePlan, found: pps.PipelineInfo | None, job: ClaimedJob) -> ClaimedJob:
    try:
        claims = new_claims(plan, found)
        if claims:
            mark(pachd, plan, claims)
    except BaseException:
        # A signal ends the step, and only this function knows of the job so far.
        _kill(pachd, job)
        raise
    return job


def trying(
    pachd: Pachd, pipeline: object, deadline: float, attempt: Callable[[bool], ClaimedJob]
) -> ClaimedJob:
    """Makes a job, and tries again after errors that may pass.

    Args:
        pachd: the connection.
        pipeline: the pipeline, for the log.
        deadline: `time.monotonic()` until which it is tried.
        attempt: makes the job. Its argument is False in the first call, True in later ones.

    Raises:
        PachydermError: the error of the last attempt.
    """
    pause, again, told = 0.05, False, set[str]()
    while True:
        try:
            return attempt(again)
        except PachydermError as error:
            if not _may_pass(error) or time.monotonic() + pause >= deadline:
                raise
            if str(error) not in told:
                told.add(str(error))
                logger.warning("claiming %s: %s; trying again", pipeline, error)
            if isinstance(error, PachydermUnreachableError):
                pachd.wait_for_answer(error)
        time.sleep(pause)
        pause, again = min(pause * 2, 2.0), True


def _was_taken(pachd: Pachd, plan: PipelinePlan, seen: Turns, error: PachydermError) -> bool:
    return _exists_already(error) if not seen else not seen <= turns(pachd, plan.project, plan.name)


def _may_pass(error: PachydermError) -> bool:
    # ALREADY_EXISTS: another step made the pipeline meanwhile, and the next attempt finds it.
    return isinstance(error, TemporaryError) or _exists_already(error)


def _exists_already(error: PachydermError) -> bool:
    return code_of(error) is grpc.StatusCode.ALREADY_EXISTS


def _try(
    pachd: Pachd,
    plan: PipelinePlan,
    wanted: dict[str, Any],
    found: pps.PipelineInfo | None,
    seen: Turns,
) -> ClaimedJob:
    if found is None:
        ensure_project(pachd, plan.project)

    def fill(inside: Pachd) -> None:
        # This comes first, so that the transaction of a step that was slower fails at once.
        give_up(inside, plan, seen)
        for one in plan.inputs:
            inside.pfs.create_branch(head=commit_message(one.commit), branch=claim_branch(one))
        if found is None or not is_current(found, wanted):
            inside.pps.create_pipeline_v2(
                create_pipeline_request_json=json.dumps(wanted), update=found is not None
            )

    return in_transaction(pachd, plan.project, plan.name, fill)


def in_transaction(pachd: Pachd, project: str, pipeline: str, fill: Callable[[Pachd], None]) -> ClaimedJob:
    """Makes a job of a pipeline in a transaction. A transaction that fails is removed.

    An error does not tell whether pachd finished the transaction. Finishing removes it
    (src/server/transaction/server/driver.go, finishTransaction). So a transaction that can still be deleted
    has made no job, and will make none.

    Args:
        pachd: the connection.
        project: Pachyderm project.
        pipeline: Pachyderm pipeline.
        fill: makes the transaction's calls. Its argument is a connection whose calls join the transaction.

    Raises:
        PachydermError: pachd's error.
    """
    job = ClaimedJob(project, pipeline, pachd.transactions.start_transaction().id)
    started, none_made = transaction.Transaction(id=job.id), False
    try:
        try:
            fill(pachd.within(job.id))
            pachd.transactions.finish_transaction(transaction=started)
        except PachydermError as error:
            if isinstance(error, PachydermUnreachableError):
                pachd.wait_for_answer(error)
            none_made = _remove(pachd, started) or not _exists(pachd, job)
            if none_made:
                raise
    except BaseException:
        # A signal ends the step, or it is not known whether pachd made the job.
        if not none_made:
            _kill(pachd, job, started)
        raise
    return job


def _in_one_call(pachd: Pachd, plan: PipelinePlan, seen: Turns, own: str) -> ClaimedJob:
    """Makes a job as `in_transaction` does, by one call.

    When the call fails, its job is looked for. If pachd makes the job later still, the next attempt finds it.
    """
    try:
        made: str | None = job_in_one_call(pachd, plan, seen, own)
    except PachydermError as error:
        if isinstance(error, PachydermUnreachableError):
            pachd.wait_for_answer(error)
        made = job_of(pachd, plan, own)
        if made is None:
            raise
    except BaseException:
        # A signal ends the step, and pachd may have made the job.
        kill_made(pachd, plan, own)
        raise
    assert made is not None
    return ClaimedJob(plan.project, plan.name, made)


def kill_made(pachd: Pachd, plan: PipelinePlan, own: str) -> None:
    """Stops the job that was made with the turn `own`, if there is one. Errors are only logged."""
    try:
        made = job_of(pachd.patient(1.0), plan, own)
    except PachydermError as error:
        logger.debug("jobs of %s: %s", plan, error)
        return
    if made is not None:
        _kill(pachd, ClaimedJob(plan.project, plan.name, made))


def _exists(pachd: Pachd, job: ClaimedJob) -> bool:
    def look() -> bool:
        try:
            pachd.pps.inspect_job(job=job.message())
        except NotFoundError:
            return False
        return True

    for found in looks(pachd, look, time.monotonic() + 2 * pachd.grace, logger.warning, 0.5):
        return found
    raise PachydermUnreachableError(f"pachd does not say whether it made job {job.output}")


def _remove(pachd: Pachd, started: transaction.Transaction) -> bool:
    """Deletes the transaction; tells whether it was there to be deleted."""
    try:
        pachd.repeated(
            lambda: pachd.transactions.delete_transaction(transaction=started), "DeleteTransaction"
        )
    except PachydermError as error:
        logger.debug("transaction %s can't be deleted: %s", started.id, error)
        return False
    return True


def _kill(pachd: Pachd, job: ClaimedJob, started: transaction.Transaction | None = None) -> None:
    """Deletes the transaction, if one is given, else stops the job.

    It gives up after a second for each call, because the launcher is ending. Errors are only logged.
    """
    quick = pachd.patient(1.0)
    try:
        if started:
            quick.transactions.delete_transaction(transaction=started)
            return  # a transaction that could be deleted has made no job
    except PachydermError as error:
        logger.debug("transaction %s can't be deleted: %s", job.id, error)
    try:
        quick.pps.stop_job(job=job.message(), reason="the step ended before it began")
    except PachydermError as error:
        logger.debug("job %s: %s", job.output, error)


def ensure_project(pachd: Pachd, name: str) -> None:
    """Makes the project if it is missing."""
    if not _has_project(pachd, name):
        _create_project(pachd, pfs.Project(name=name))


def _has_project(pachd: Pachd, name: str) -> bool:
    try:
        pachd.pfs.inspect_project(project=pfs.Project(name=name))
    except NotFoundError:
        return False
    return True


def _check_project(pachd: Pachd, plan: PipelinePlan, error: NotFoundError) -> None:
    """Raises TemporaryError if the project has been deleted meanwhile: the next attempt makes it again."""
    if not _has_project(pachd, plan.project):
        raise TemporaryError(f"project {plan.project} was empty, and has been deleted") from error


def _create_project(pachd: Pachd, project: pfs.Project) -> None:
    try:
        pachd.pfs.create_project(project=project, description="made by kfp-pachyderm")
        mark_project(pachd, project.name)
    except PachydermError as error:
        if not _exists_already(error):
            raise
