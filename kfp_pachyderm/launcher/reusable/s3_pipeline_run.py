"""`s3_pipeline/run`: the job of a pipeline that somebody else made, on given commits."""

from __future__ import annotations

from collections.abc import Mapping

from kfp_pachyderm.errors import CommitReferenceError
from kfp_pachyderm.launcher.claim.open_job import announce_job, withdraw
from kfp_pachyderm.launcher.record.final import write_failure, write_record
from kfp_pachyderm.launcher.record.initial import begun
from kfp_pachyderm.launcher.reusable.component_call import PROJECT, Call
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.claims.existing_pipeline import (
    ExistingInput,
    ExistingPipeline,
    inspect_existing,
    job_on,
)
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.references import Reference, parse, resolve
from kfp_pachyderm.provenance.kfp_task import RUN_KEY
from kfp_pachyderm.provenance.record import Code, StepRecord
from kfp_pachyderm.provenance.stored_record import entries


def run(call: Call) -> None:
    """Makes or finds a job of the pipeline `pipeline` on the commits in `inputs`, and waits for SUCCESS.

    A job that this step made is stopped when the step ends before it; any other goes on.
    """
    project, _, name = call.execution.parameter("pipeline").rpartition("/")
    pipeline = inspect_existing(call.pachd, project or PROJECT, name)
    commits = _commits(call, pipeline)
    job, ours = job_on(call.pachd, pipeline, commits, call.deadline, say)
    record = begun(call.task, job.output, commits, Code(), job)
    announce_job(job, commits)
    try:
        _record_start(call, record)
        info = jobs.follow(call.pachd, job, call.deadline, say)
        jobs.require_success(job, info, ours=False)
    except BaseException as error:
        if ours:
            withdraw(call.pachd, job, f"the step ended: {error}")
            write_failure(call.pachd, job.output, record, "KILLED", str(error))
        raise
    write_record(call.pachd, record, call.execution, info)


def _commits(call: Call, pipeline: ExistingPipeline) -> dict[str, Reference]:
    """Input's name → commit; an input that is not given is at its branch's newest good commit."""
    given = call.execution.value("inputs") or {}
    unknown = sorted(set(given) - set(pipeline.inputs))
    if unknown:
        raise CommitReferenceError(
            f"pipeline {pipeline} has no input {unknown[0]!r}; its inputs: {', '.join(pipeline.inputs)}"
        )
    return {name: _resolve(call, one, given) for name, one in pipeline.inputs.items()}


def _resolve(call: Call, one: ExistingInput, given: Mapping[str, str]) -> Reference:
    reference = parse(str(given[one.name]), one.branch.project) if given.get(one.name) else one.branch
    if (reference.project, reference.repo) != (one.branch.project, one.branch.repo):
        raise CommitReferenceError(
            f"{reference} can't be input {one.name!r}: the pipeline reads {one.branch.project}/"
            f"{one.branch.repo} there"
        )
    return resolve(call.pachd, reference, call.deadline, say, one.glob)


def _record_start(call: Call, record: StepRecord) -> None:
    if RUN_KEY not in jobs.inspect_output(call.pachd, record.output).metadata:
        signs = {**call.task.commit_metadata(), **entries(record)}
        jobs.write_metadata(call.pachd, record.output, signs)
