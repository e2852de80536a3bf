"""Ownership: marks what kfp-pachyderm made, and refuses pipelines, repos and branches that others made."""

from __future__ import annotations

import logging
from collections.abc import Callable

from kfp_pachyderm.errors import (
    AuthenticationError,
    NotFoundError,
    PachydermError,
    PermanentError,
    PipelineNotOwnedError,
)
from kfp_pachyderm.pachd.claims.fence import wait_until_down
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.pipeline_plan import (
    COMPONENT_KEY,
    KFP_PIPELINE_KEY,
    OWNER,
    OWNER_KEY,
    ClaimedInput,
    PipelinePlan,
    is_of_step,
    message,
    pfs_inputs,
    users,
)
from kfp_pachyderm.pachd.references import repo_message, repo_picker
from kfp_pachyderm.pachd.sdk import metadata, pfs, pps

logger = logging.getLogger(__name__)


def find_pipeline(pachd: Pachd, project: str, name: str, details: bool = True) -> pps.PipelineInfo | None:
    """Inspects a pipeline, whoever made it; returns None if it does not exist.

    For its details pachd asks the pipeline's workers (Pachyderm src/server/pps/server/api_server.go,
    inspectPipeline).
    """
    try:
        return pachd.pps.inspect_pipeline(pipeline=message(project, name), details=details)
    except NotFoundError:
        return None


def inspect_owned(
    pachd: Pachd, plan: PipelinePlan, looked: Callable[[], pps.PipelineInfo | None] | None = None
) -> pps.PipelineInfo | None:
    """Inspects the plan's pipeline, and refuses one that the step must not use.

    Args:
        pachd: the connection.
        plan: the pipeline that the step wants.
        looked: returns the result of an earlier `find_pipeline`; None: `find_pipeline` is called here.

    Returns:
        The pipeline; None if it does not exist yet.

    Raises:
        PipelineNotOwnedError: the pipeline, a repo of its name or a claim branch exists and was not made by
            kfp-pachyderm, or another KFP pipeline or component uses the pipeline.
        PermanentError: the pipeline is stopped, so no job would run.
    """
    info = looked() if looked else find_pipeline(pachd, plan.project, plan.name)
    taken = _taken(pachd, plan, info)
    if taken and info is None:
        # Another step may have made pipeline, repo and branches, in one transaction, since the first call.
        info = find_pipeline(pachd, plan.project, plan.name)
        taken = _taken(pachd, plan, info)
    if taken:
        raise PipelineNotOwnedError(
            f"{taken}, so it is left untouched; give the step another name by s3_enabled(name=...) "
            "or another project by @kfp_pachyderm.pipeline(project=...)"
        )
    if info and info.stopped:
        if _is_being_deleted(pachd, plan):
            return inspect_owned(pachd, plan)
        raise PermanentError(
            f"pipeline {plan} is stopped, no job would run; start it: pachctl start pipeline {plan.name} "
            f"--project {plan.project}"
        )
    return info


def _is_being_deleted(pachd: Pachd, plan: PipelinePlan) -> bool:
    """Whether a gc had stopped the pipeline (deletePipeline stops it first); returns when that has ended."""
    try:
        return wait_until_down(pachd, plan.project, plan.name, logger.warning)
    except (NotFoundError, AuthenticationError):  # with auth on also what is not there is forbidden
        return find_pipeline(pachd, plan.project, plan.name) is None


def _taken(pachd: Pachd, plan: PipelinePlan, info: pps.PipelineInfo | None) -> str:
    """Returns the reason why the step must not use the pipeline, "" if there is none."""
    if info is None:
        return _foreign_repo(pachd, plan) or _foreign_branch(pachd, plan.inputs)
    return _other_user(plan, info) or _foreign_branch(pachd, new_claims(plan, info))


def _foreign_repo(pachd: Pachd, plan: PipelinePlan) -> str:
    try:
        pachd.pfs.inspect_repo(repo=repo_message(plan.project, plan.name))
    except NotFoundError:
        return ""
    return f"{plan} is a repo already, and a pipeline would write into it"


def _other_user(plan: PipelinePlan, info: pps.PipelineInfo) -> str:
    if not is_of_step(info):
        return f"pipeline {plan} exists and was not made by kfp-pachyderm"
    annotations = info.details.metadata.annotations
    if all(annotations.get(key, value) == value for key, value in users(plan).items()):
        return ""
    pipeline, component = annotations.get(KFP_PIPELINE_KEY, ""), annotations.get(COMPONENT_KEY, "")
    return (
        f"Pachyderm's pipeline {plan} belongs to component {component!r} of KFP pipeline {pipeline!r}, and "
        f"component {plan.component!r} of KFP pipeline {plan.kfp_pipeline!r} wants it too"
    )


def new_claims(plan: PipelinePlan, info: pps.PipelineInfo | None) -> tuple[ClaimedInput, ...]:
    """Returns the plan's inputs whose claim branch the pipeline does not read yet."""
    read = {(one.project, one.repo, one.branch) for one in pfs_inputs(info)} if info else set()
    return tuple(one for one in plan.inputs if (one.commit.project, one.commit.repo, one.branch) not in read)


def _foreign_branch(pachd: Pachd, claims: tuple[ClaimedInput, ...]) -> str:
    for one in claims:
        repo = repo_message(one.commit.project, one.commit.repo)
        try:
            found = pachd.pfs.inspect_branch(branch=pfs.Branch(repo=repo, name=one.branch))
        except NotFoundError:
            continue
        if found.metadata.get(OWNER_KEY) != OWNER:
            return (
                f"the step's claim branch {one.commit.project}/{one.commit.repo}@{one.branch} exists and was "
                "not made by kfp-pachyderm"
            )
    return ""


def mark(pachd: Pachd, plan: PipelinePlan, claims: tuple[ClaimedInput, ...]) -> None:
    """Marks new claim branches and the pipeline's repo as made by kfp-pachyderm. Errors are only logged.

    A transaction can't edit metadata, so the marks are written after it. The pipeline itself has the mark in
    its spec. Repo and branches need their own marks because they may outlive it.
    """
    edit = metadata.Edit(repo=repo_picker(plan.project, plan.name), edit_key=_key())
    _edit(pachd, plan, [*_marks(claims), edit])


def mark_claims(pachd: Pachd, plan: PipelinePlan) -> None:
    """Marks the claim branches that a step moved, or made, while their pipeline was being deleted."""
    _edit(pachd, plan, _marks(plan.inputs))


def _marks(claims: tuple[ClaimedInput, ...]) -> list[metadata.Edit]:
    return [metadata.Edit(branch=_picker(one), edit_key=_key()) for one in claims]


def _key() -> metadata.EditEditKey:
    return metadata.EditEditKey(key=OWNER_KEY, value=OWNER)


def _edit(pachd: Pachd, plan: PipelinePlan, edits: list[metadata.Edit]) -> None:
    try:
        pachd.metadata.edit_metadata(edits=edits)
    except PachydermError as error:
        logger.warning("claim branches of %s are not marked: %s", plan, error)


def _picker(one: ClaimedInput) -> pfs.BranchPicker:
    repo = repo_picker(one.commit.project, one.commit.repo)
    return pfs.BranchPicker(name=pfs.BranchPickerBranchName(repo=repo, name=one.branch))


def mark_project(pachd: Pachd, name: str) -> None:
    """Marks a project as made by kfp-pachyderm."""
    edit = metadata.Edit(project=pfs.ProjectPicker(name=name), edit_key=_key())
    pachd.metadata.edit_metadata(edits=[edit])
