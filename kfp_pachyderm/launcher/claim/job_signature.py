"""Signs a claimed job: its commit says which step made it. A job that is not the step's own is lost."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import kfp_pachyderm
from kfp_pachyderm.adapter.encoding import PERCENT
from kfp_pachyderm.errors import AuthenticationError, JobLostError, NotFoundError, PachydermError
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
) -> StepRecord:
    """Writes on the job's commit what is known of the step, and checks that the job is as the step wants it.

    A job of a spec that another step made meanwhile is stopped: nobody must wait for it.

    Args:
        pachd: the connection.
        config: the step's config.
        execution: KFP's executor input.
        inputs: name → commit.
        job: the job that the step has just claimed.
        plan: its pipeline and its pinned inputs.

    Returns:
        What was written.

    Raises:
        JobLostError: the job failed, was deleted, or is one of a spec that another step made meanwhile.
        JobFailedError: somebody ended the job.
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
        _check(pachd, plan, job)
        written.result()
    except (NotFoundError, AuthenticationError) as error:
        # With auth on also what is not there is forbidden.
        if _version(pachd, plan):
            raise
        raise _changed(job) from error
    return record


def _check(pachd: Pachd, plan: PipelinePlan, job: ClaimedJob) -> None:
    """Raises an error if the job has ended, or was not made from the plan's spec."""
    wait_until_down(pachd, job.project, job.pipeline, say)

    def look() -> tuple[pps.JobInfo, int]:
        return jobs.inspect(pachd, job), _version(pachd, plan)

    # A job that is there, and not over, after that look stays: so does its pipeline.
    info, version = next(looks(pachd, look, float("inf"), say, _PAUSE))
    if info.pipeline_version != version:
        error = _changed(job)
        with suppress(PachydermError):  # the launcher tries it again
            jobs.stop(pachd, job, str(error))
        raise error
    if jobs.is_over(info) and info.state != pps.JobState.JOB_SUCCESS:
        raise jobs.ended_early(job, info)  # one with SUCCESS had an empty input, which the attach tells


def _version(pachd: Pachd, plan: PipelinePlan) -> int:
    """The pipeline's version; 0 if it is not there, or not as the step wants it.

    Not the version that the step saw before its claim: a pipeline that is made again begins at 1.
    """
    found = find_pipeline(pachd, plan.project, plan.name, details=False)
    return found.version if found and is_current(found, spec(plan)) else 0


def _changed(job: ClaimedJob) -> JobLostError:
    return JobLostError(
        f"the pipeline of job {job.output} was changed or deleted before the step's command began"
    )
