"""The first half of a step: resolves its inputs, stops an earlier attempt, claims the job, signs it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from kfp_pachyderm.errors import (
    AttachError,
    JobFailedError,
    NotFoundError,
    PachydermError,
)
from kfp_pachyderm.launcher.background import beside
from kfp_pachyderm.launcher.claim.job_signature import sign
from kfp_pachyderm.launcher.claim.pipeline_plan import make_plan
from kfp_pachyderm.launcher.config import StepConfig
from kfp_pachyderm.launcher.executor_input import Execution, Identity
from kfp_pachyderm.launcher.resolve.inputs import Source, encoded, pinned, read_sources
from kfp_pachyderm.launcher.step_log import announce, say
from kfp_pachyderm.pachd.claims.claim import claim, claim_change
from kfp_pachyderm.pachd.claims.ownership import inspect_owned
from kfp_pachyderm.pachd.claims.turns import Look, TakenError, look
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.pipeline_plan import PipelinePlan, check_name, check_rights, is_current, spec
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pps

if TYPE_CHECKING:
    from kfp_pachyderm.pachd.claims.gathering import Gathering
    from kfp_pachyderm.provenance.record import StepRecord

#: Seconds for which an answer of InspectPipeline is not asked for again.
_FRESH = 1.0
#: The most commits that the log names.
_TOLD = 10


@dataclass(frozen=True)
class Opened:
    """A step whose job exists.

    Args:
        config: the step's config.
        plan: the pipeline and its pinned inputs.
        sources: the inputs and their commits.
        job: the job.
        signed: the first record, once it is in the output commit's metadata.
    """

    config: StepConfig
    plan: PipelinePlan
    sources: tuple[Source, ...]
    job: ClaimedJob
    signed: Future[StepRecord]


def open_step(
    pachd: Pachd,
    config: StepConfig,
    execution: Execution,
    deadline: float,
    failed: JobFailedError | None = None,
) -> Opened:
    """Makes the step's job; `failed` as in `claim_free`.

    Raises:
        PermanentError: an input, the name or a pipeline of that name is not usable.
        TemporaryError: Pachyderm could not do it until the deadline.
    """
    names = config.pipelines(execution.identity.task)
    check_name(config.project, names[0])
    asked = time.monotonic()
    # Whoever has one pipeline queues there; nobody has to take turns.
    looked = [beside(partial(look, pachd, config.project, name, bool(names[1:]))) for name in names]
    sources = read_sources(pachd, config, execution, deadline)
    gatherings = _prepare(pachd, config.project, sources)
    read = [(one.config, one.commit(config.project)) for one in sources]
    plans = [
        make_plan(config, name, execution.identity.pipeline, read, "" if name == names[0] else names[0])
        for name in names
    ]

    def fresh() -> bool:
        # What was seen before a long wait for an input may have changed.
        return time.monotonic() - asked < _FRESH

    every = [
        beside(partial(_checked, pachd, plan, execution.identity, seen if fresh() else None))
        for plan, seen in zip(plans, looked, strict=True)
    ]
    found = [one.result() for one in every]
    if any(gatherings):
        from kfp_pachyderm.launcher.resolve.fan_in import gather_all

        commits = gather_all(pachd, config.project, sources, gatherings, deadline)
        plans = [pinned(plan, commits) for plan in plans]
    if len(plans) > 1:
        from kfp_pachyderm.launcher.claim.siblings import claim_free

        seen = [one.result() for one in looked] if fresh() else None
        plan, job = claim_free(pachd, plans, deadline, failed, seen)
    else:
        plan, job = plans[0], _claim_in_turn(pachd, plans[0], found[0], deadline)
    try:
        inputs = {name: commit for one in sources for name, commit in one.named.items()}
        announce_job(job, inputs)
        for line in encoded(config, sources):
            say(line)
        signed = beside(lambda: sign(pachd, config, execution, inputs, job, plan))
    except BaseException as error:
        withdraw(pachd, job, f"the step ended before it began: {error}")
        raise
    return Opened(config, plan, sources, job, signed)


def announce_job(job: ClaimedJob, inputs: Mapping[str, Reference]) -> None:
    """Announces the job and its input commits on stdout.

    Args:
        job: the job.
        inputs: name → commit.
    """
    named = [f"{name}={commit}" for name, commit in inputs.items()]
    more = [f"{len(named) - _TOLD} commits more, which the record names"] if len(named) > _TOLD else []
    read = f" from {', '.join([*named[:_TOLD], *more])}" if named else ""
    announce(f"job={job.id} pipeline={job.project}/{job.pipeline} commit={job.output}{read}")


def _prepare(pachd: Pachd, project: str, sources: tuple[Source, ...]) -> list[Gathering | None]:
    """The gathering that each input needs, or None; most steps need none, and load no code for it."""
    if not any(one.repo for one in sources):
        return [None] * len(sources)
    from kfp_pachyderm.launcher.resolve.fan_in import prepare

    return [prepare(pachd, project, one) if one.repo else None for one in sources]


def _checked(
    pachd: Pachd, plan: PipelinePlan, identity: Identity, looked: Future[Look] | None
) -> pps.PipelineInfo | None:
    """The pipeline, if there is one: ours to use, and nothing of an earlier attempt runs in it any more."""
    found = inspect_owned(pachd, plan, (lambda: looked.result().found) if looked else None)
    if found:
        check_rights(pachd, plan)
        _stop_predecessor(pachd, plan, identity)
    return found


def _stop_predecessor(pachd: Pachd, plan: PipelinePlan, identity: Identity) -> None:
    """Stops what an earlier attempt of this very task left unfinished.

    Without a salt (kfp.local) two iterations of a loop look the same: there the holder's lease ends the job.
    """
    if not identity.salt:
        return
    from kfp_pachyderm.provenance.kfp_task import ATTEMPT_KEY, RUN_KEY, SALT_KEY, TASK_KEY

    ours = {RUN_KEY: identity.run, TASK_KEY: identity.task, SALT_KEY: identity.salt}
    for info in jobs.unfinished(pachd, ClaimedJob(plan.project, plan.name, "")):
        old = ClaimedJob(plan.project, plan.name, info.job.id)
        try:
            written = jobs.inspect_output(pachd, old.output).metadata
        except NotFoundError:
            continue  # deleted, perhaps with its pipeline
        if all(written.get(key) == value for key, value in ours.items()):
            say(f"stopping job {old.id} of the earlier attempt {written.get(ATTEMPT_KEY)}")
            jobs.stop(pachd, old, f"replaced by attempt {identity.attempt} of the same KFP task")


def _claim_in_turn(
    pachd: Pachd, plan: PipelinePlan, found: pps.PipelineInfo | None, deadline: float
) -> ClaimedJob:
    """Makes a job that queues behind the others of the step's only pipeline."""
    while True:
        found, free = _wait_for_turn(pachd, plan, found, deadline), time.monotonic()
        try:
            if found and not is_current(found, spec(plan)):
                return claim_change(pachd, plan, deadline)
            return claim(pachd, plan, found, deadline)
        except TakenError as error:
            if free >= deadline:
                raise AttachError(
                    f"other steps changed pipeline {plan} again and again; try again"
                ) from error
        found = inspect_owned(pachd, plan)


def _wait_for_turn(
    pachd: Pachd, plan: PipelinePlan, found: pps.PipelineInfo | None, deadline: float
) -> pps.PipelineInfo | None:
    """Waits until a pipeline that needs an update has no unfinished job: the update would kill the jobs."""
    wanted = spec(plan)
    while found and not is_current(found, wanted):
        others = jobs.unfinished(pachd, ClaimedJob(plan.project, plan.name, ""))
        if not others:
            break
        oldest = ClaimedJob(plan.project, plan.name, others[-1].job.id)
        say(f"pipeline {plan} has to be changed for this step, waiting for its job {oldest.id} to end")
        with suppress(NotFoundError):  # deleted, perhaps with its pipeline
            if not jobs.wait_for_end(pachd, oldest, deadline, say):
                raise AttachError(
                    f"pipeline {plan} can't be changed for this step: its job {oldest.id} is "
                    f"{jobs.state_name(others[-1])} still, and would be killed; give it more time by "
                    f"s3_enabled(timeout=...), or end it: pachctl stop job {oldest.pipeline}@{oldest.id} "
                    f"--project {oldest.project}"
                )
        found = inspect_owned(pachd, plan)
    return found


def withdraw(pachd: Pachd, job: ClaimedJob, reason: str) -> bool:
    """Stops a job through pachd, within about a second; returns whether pachd did it."""
    try:
        jobs.stop(pachd.patient(1.0), job, reason)
    except PachydermError as error:
        say(f"job {job.id} could not be stopped, its holder's lease will end it: {error}")
        return False
    return True
