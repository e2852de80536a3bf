"""Makes a step's pipeline before the step runs, so that its worker pod starts early.

A claim branch that does not exist yet is made with an empty commit. A pipeline with an empty input gets a job
that ends as SUCCESS without running user code (measured on Pachyderm 2.12).
"""

from __future__ import annotations

import json

import grpc

from kfp_pachyderm.errors import NotFoundError, PachydermError
from kfp_pachyderm.pachd.claims.claim import ensure_project
from kfp_pachyderm.pachd.claims.fence import fenced
from kfp_pachyderm.pachd.claims.ownership import inspect_owned, mark, new_claims
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.status_codes import code_of
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.pipeline_plan import (
    ClaimedInput,
    PipelinePlan,
    check_rights,
    is_current,
    output_branch,
    spec,
)
from kfp_pachyderm.pachd.references import Reference, commit_message
from kfp_pachyderm.pachd.sdk import pps


def make_ahead(pachd: Pachd, plan: PipelinePlan, deadline: float) -> bool:
    """Makes the plan's pipeline, or updates one that no step has used yet.

    A pipeline that a step has used is left to the step. An update would at once put an empty output commit at
    the head of the branch that others read, and would kill running jobs.

    Args:
        pachd: the connection.
        plan: the pipeline that the step will need.
        deadline: `time.monotonic()` until which it is tried.

    Returns:
        Whether it made or updated the pipeline.

    Raises:
        PipelineNotOwnedError: kfp-pachyderm did not make the pipeline, or a repo of its name. Nothing is
            changed.
        PachydermError: pachd's error.
    """
    pachd = pachd.until(deadline)
    found = inspect_owned(pachd, plan)
    if not _may_make(pachd, plan, found):
        return False
    if not (_make(pachd, plan) if found is None else _update(pachd, plan, found)):
        return False
    claims = new_claims(plan, found)
    if claims:
        mark(pachd, plan, claims)
    return True


def _make(pachd: Pachd, plan: PipelinePlan) -> bool:
    ensure_project(pachd, plan.project)
    try:
        pachd.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec(plan)))
    except PachydermError as error:
        if code_of(error) is grpc.StatusCode.ALREADY_EXISTS:
            return False  # another run was quicker
        raise
    return True


def _update(pachd: Pachd, plan: PipelinePlan, found: pps.PipelineInfo) -> bool:
    wanted = spec(plan)
    if is_current(found, wanted):
        return False
    with fenced(pachd, output_branch(found)) as soon:
        if not _may_make(soon, plan, found):
            return False  # a step has begun to use it meanwhile
        soon.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(wanted), update=True)
    return True


def _may_make(pachd: Pachd, plan: PipelinePlan, found: pps.PipelineInfo | None) -> bool:
    if found:
        check_rights(pachd, plan)
        if any(_is_used(one) for one in jobs.newest(pachd, plan.project, plan.name)):
            return False
    return any(_is_empty(pachd, one) for one in plan.inputs)


def _is_used(job: pps.JobInfo) -> bool:
    """Tells whether a step made the job: the job has datums, or is still running and may get some."""
    return bool(job.data_total) or not jobs.is_over(job)


def _is_empty(pachd: Pachd, one: ClaimedInput) -> bool:
    """Tells whether the claim branch's head gives no datum. No step has moved the branch yet then."""
    head = Reference(one.commit.project, one.commit.repo, one.branch)
    try:
        return not any(True for _ in pachd.pfs.glob_file(commit=commit_message(head), pattern=one.glob))
    except NotFoundError:
        return True
