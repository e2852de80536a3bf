"""Signs a claimed job: its commit says which step made it. A job that is not the step's own is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import kfp_pachyderm
from kfp_pachyderm.adapter.encoding import PERCENT
from kfp_pachyderm.errors import AuthenticationError, JobLostError, NotFoundError
from kfp_pachyderm.launcher.background import beside
from kfp_pachyderm.launcher.config import ReusableConfig, StepConfig
from kfp_pachyderm.launcher.executor_input import Execution, Identity
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.claims.fence import wait_until_down
from kfp_pachyderm.pachd.claims.ownership import find_pipeline
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.polling import looks
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.pipeline_plan import PipelinePlan, is_current, spec
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pps

if TYPE_CHECKING:
    from kfp_pachyderm.provenance.kfp_task import KfpTask
    from kfp_pachyderm.provenance.record import StepRecord

#: Seconds between two looks at a job that pachd does not tell.
_PAUSE = 1.0


def kfp_task(config: StepConfig | ReusableConfig, identity: Identity) -> KfpTask:
    """The KFP task for the record."""
    from kfp_pachyderm.provenance.kfp_task import KfpTask

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


def sign(
    pachd: Pachd,
    config: StepConfig,
    execution: Execution,
    inputs: dict[str, Reference],
    job: ClaimedJob,
    plan: PipelinePlan,
    before: pps.PipelineInfo | None,
) -> StepRecord:
    """Writes on the job's commit what is known of the step, and checks that the job is as the step wants it.

    Args:
        pachd: the connection.
        config: the step's config.
        execution: KFP's executor input.
        inputs: name → commit.
        job: the job that the step has just claimed.
        plan: its pipeline and its pinned inputs.
        before: the pipeline as it was before the claim; None: it was not there.

    Returns:
        What was written.

    Raises:
        JobLostError: the job has ended, or is one of a spec that another step made meanwhile.
        PachydermError: pachd refused a call, or did not answer.
    """
    # Loaded only now, while Pachyderm starts the job.
    from kfp_pachyderm.launcher.record.initial import begun, code_of
    from kfp_pachyderm.provenance.stored_record import entries

    task = kfp_task(config, execution.identity)
    record = begun(task, job.output, inputs, code_of(config, execution), job, plan.sibling_of)
    stored = {**task.commit_metadata(), **entries(record)}
    written = beside(lambda: jobs.write_metadata(pachd, job.output, stored))
    try:
        lost = _is_lost(pachd, plan, job, before)
        written.result()
    except (NotFoundError, AuthenticationError):
        # With auth on also what is not there is forbidden.
        if _is_as_planned(pachd, plan):
            raise
        lost = True
    if lost:
        raise JobLostError(
            f"job {job.output} ended, or its pipeline was changed or deleted, before the step's command began"
        )
    return record


def _is_lost(pachd: Pachd, plan: PipelinePlan, job: ClaimedJob, before: pps.PipelineInfo | None) -> bool:
    """Whether somebody ended the job, or changed its pipeline between `before` and the claim."""
    wait_until_down(pachd, job.project, job.pipeline, say)
    # A job that is there after that look stays.
    info = next(looks(pachd, lambda: jobs.inspect(pachd, job), float("inf"), say, _PAUSE))
    if jobs.is_over(info) and info.state != pps.JobState.JOB_SUCCESS:
        return True  # one with SUCCESS had an empty input, which is no reason to try again
    same = before is not None and before.version == info.pipeline_version
    return not (same or _is_as_planned(pachd, plan, info.pipeline_version))


def _is_as_planned(pachd: Pachd, plan: PipelinePlan, version: int = 0) -> bool:
    """Whether the pipeline is there, as the step wants it, and in this version, unless that is 0."""
    found = find_pipeline(pachd, plan.project, plan.name)
    return found is not None and is_current(found, spec(plan)) and version in (0, found.version)
