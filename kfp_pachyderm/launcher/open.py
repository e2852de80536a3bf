"""The first half of a step's life: resolve the inputs, clear the way, claim the job, sign it."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import kfp_pachyderm
from kfp_pachyderm.adapter.encoding import PERCENT
from kfp_pachyderm.errors import AttachError, PachydermError, ProtocolError
from kfp_pachyderm.launcher.beside import beside
from kfp_pachyderm.launcher.config import InputConfig, ReusableConfig, StepConfig
from kfp_pachyderm.launcher.execution import Execution, Identity
from kfp_pachyderm.launcher.plan import make_plan
from kfp_pachyderm.launcher.say import announce, say
from kfp_pachyderm.pachyderm import job as jobs
from kfp_pachyderm.pachyderm.claim import ClaimedJob, claim
from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.ownership import find_pipeline, inspect_owned
from kfp_pachyderm.pachyderm.pipelines import (
    ClaimedInput,
    PipelinePlan,
    check_name,
    check_rights,
    is_current,
    spec,
)
from kfp_pachyderm.pachyderm.references import Reference, parse, resolve, without_mark
from kfp_pachyderm.provenance.task import ATTEMPT_KEY, RUN_KEY, SALT_KEY, TASK_KEY, KfpTask
from kfp_pachyderm.sdk import pps

if TYPE_CHECKING:
    from kfp_pachyderm.provenance.record import StepRecord

#: Seconds for which a look at the pipeline is as good as a new one.
_FRESH = 1.0


@dataclass(frozen=True)
class Opened:
    """A step whose job exists.

    Args:
        config: the step's config.
        plan: the pipeline and its pinned inputs.
        job: the job.
        signed: what the job's output commit says of the step, once it does.
    """

    config: StepConfig
    plan: PipelinePlan
    job: ClaimedJob
    signed: Future[StepRecord]


def kfp_task(config: StepConfig | ReusableConfig, identity: Identity) -> KfpTask:
    """KFP's side of the record."""
    return KfpTask(
        pipeline=identity.pipeline,
        run=identity.run,
        task=identity.task or config.component,
        salt=identity.salt,
        attempt=identity.attempt,
        component=config.component,
        digest=config.digest,
        image=config.image,
        package=kfp_pachyderm.__version__,
        keys=PERCENT if isinstance(config, StepConfig) and config.keys == "encode" else "",
    )


def open_step(
    pachd: Pachd, config: StepConfig, execution: Execution, task: KfpTask, deadline: float
) -> Opened:
    """Makes the step's job, or changes nothing at all.

    Raises:
        PermanentError: an input, the name or a pipeline of that name is not usable.
        TemporaryError: Pachyderm could not do it until the deadline.
    """
    name = config.pipeline(execution.identity.task)
    check_name(config.project, name)
    asked, looked = time.monotonic(), beside(lambda: find_pipeline(pachd, config.project, name))
    plan = make_plan(config, name, execution.identity.pipeline, _resolve(pachd, config, execution, deadline))
    # What was seen before a long wait for an input may have changed.
    found = inspect_owned(pachd, plan, looked if time.monotonic() - asked < _FRESH else None)
    if found:
        check_rights(pachd, plan)
        _stop_predecessor(pachd, plan, execution.identity)
        found = _wait_for_turn(pachd, plan, found, deadline)
    job = claim(pachd, plan, found, deadline)
    try:
        announce(f"job={job.id} pipeline={plan} commit={job.output}")
        for one in plan.inputs:
            say(f"input {one.name}: {one.commit}{_about(config, one)}")
        signed = beside(lambda: _sign(pachd, config, execution, task, plan, job))
    except BaseException as error:
        withdraw(pachd, job, f"the step ended before it began: {error}")
        raise
    return Opened(config, plan, job, signed)


def _sign(
    pachd: Pachd, config: StepConfig, execution: Execution, task: KfpTask, plan: PipelinePlan, job: ClaimedJob
) -> StepRecord:
    # Loaded only now, while Pachyderm starts the job.
    from kfp_pachyderm.launcher.code import begun, code_of
    from kfp_pachyderm.provenance.stored import entries

    inputs = {one.name: one.commit for one in plan.inputs}
    record = begun(task, job.output, inputs, code_of(config, execution), job)
    jobs.write_metadata(pachd, job.output, {**task.commit_metadata(), **entries(record)})
    return record


def _about(config: StepConfig, one: ClaimedInput) -> str:
    if not one.commit.encoding:
        return ""
    decoded = one.s3 and config.gateway == "adapter"
    return f" (keys are percent-encoded in Pachyderm{'' if decoded else ', and shown so'})"


def _resolve(
    pachd: Pachd, config: StepConfig, execution: Execution, deadline: float
) -> list[tuple[InputConfig, Reference]]:
    """Every input and its commit, asked for side by side."""

    def ask(one: InputConfig) -> Reference:
        text = without_mark(execution.parameter(one.name)) or f"{one.repo}@{one.branch}"
        found = resolve(pachd, parse(text, one.project or config.project), deadline, say, one.glob)
        _check_encoding(found)
        return found

    asked = [beside(partial(ask, one)) for one in config.inputs]
    # One that can't be had is told although another is still waited for.
    for one in wait(asked, return_when=FIRST_EXCEPTION).done:
        one.result()
    return [(given, one.result()) for given, one in zip(config.inputs, asked, strict=True)]


def _check_encoding(commit: Reference) -> None:
    if commit.encoding not in ("", PERCENT):
        raise ProtocolError(
            f"the keys of {commit} are encoded as {commit.encoding!r}, which this version of kfp-pachyderm "
            "does not know: install the version that wrote them"
        )


def _stop_predecessor(pachd: Pachd, plan: PipelinePlan, identity: Identity) -> None:
    """Stops what an earlier attempt of this very task left unfinished.

    Without a salt (kfp.local) two iterations of a loop look the same: there the lease does it.
    """
    if not identity.salt:
        return
    ours = {RUN_KEY: identity.run, TASK_KEY: identity.task, SALT_KEY: identity.salt}
    for info in jobs.unfinished(pachd, ClaimedJob(plan.project, plan.name, "")):
        old = ClaimedJob(plan.project, plan.name, info.job.id)
        written = jobs.inspect_output(pachd, old.output).metadata
        if all(written.get(key) == value for key, value in ours.items()):
            say(f"stopping job {old.id} of the earlier attempt {written.get(ATTEMPT_KEY)}")
            jobs.stop(pachd, old, f"replaced by attempt {identity.attempt} of the same KFP task")


def _wait_for_turn(
    pachd: Pachd, plan: PipelinePlan, found: pps.PipelineInfo | None, deadline: float
) -> pps.PipelineInfo | None:
    """Waits with an update of the pipeline until its jobs have ended: it would kill those of other steps."""
    wanted = spec(plan)
    while found and not is_current(found, wanted):
        others = jobs.unfinished(pachd, ClaimedJob(plan.project, plan.name, ""))
        if not others:
            break
        oldest = ClaimedJob(plan.project, plan.name, others[-1].job.id)
        say(f"pipeline {plan} has to be changed for this step, waiting for its job {oldest.id} to end")
        if not jobs.wait_for_end(pachd, oldest, deadline, say):
            raise AttachError(f"pipeline {plan} can't be changed for this step: job {oldest.id} still runs")
        found = inspect_owned(pachd, plan)
    return found


def withdraw(pachd: Pachd, job: ClaimedJob, reason: str) -> bool:
    """Kills a job whose holder could not be told; best effort, in a second; whether pachd answered."""
    try:
        jobs.stop(pachd.patient(1.0), job, reason)
    except PachydermError as error:
        say(f"job {job.id} could not be stopped, its holder's lease will end it: {error}")
        return False
    return True
