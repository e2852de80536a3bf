"""Finds or makes a job of an existing pipeline on given commits, without moving a branch.

Pachyderm has no call that runs a pipeline on given commits: `RunPipeline` is unimplemented, and a pipeline
can't read a commit (src/server/pps/server/api_server.go, RunPipeline and validateInput). Pachyderm makes a
job on the heads of a pipeline's input branches whenever one of them moves. So nearly every commit of an input
branch has its job already. On the current heads one more job can be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from kfp_pachyderm.errors import NotFoundError, PachydermError, PermanentError, TemporaryError
from kfp_pachyderm.pachd.claims.claim import in_transaction, trying
from kfp_pachyderm.pachd.commits.direct_inputs import direct_inputs
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.pipeline_plan import is_of_step, message
from kfp_pachyderm.pachd.references import Reference, commit_message, repo_message
from kfp_pachyderm.pachd.sdk import pfs, pps


@dataclass(frozen=True)
class ExistingInput:
    """One input of an existing pipeline.

    Args:
        name: the input's bucket, or its folder below /pfs.
        branch: the branch that the pipeline reads.
        glob: Pachyderm's glob.
    """

    name: str
    branch: Reference
    glob: str


@dataclass(frozen=True)
class ExistingPipeline:
    """A pipeline in its current version.

    Args:
        project: Pachyderm project.
        name: the pipeline's name.
        version: its current version.
        inputs: its inputs by name.
        of_step: whether a step made it. The user code of its jobs does nothing without their step.
    """

    project: str
    name: str
    version: int
    inputs: dict[str, ExistingInput]
    of_step: bool

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"


def inspect_existing(pachd: Pachd, project: str, name: str) -> ExistingPipeline:
    """Inspects the pipeline of that name.

    Raises:
        NotFoundError: there is no such pipeline.
        PermanentError: the pipeline makes no jobs: it is stopped, a spout or a service.
    """
    try:
        info = pachd.pps.inspect_pipeline(pipeline=message(project, name), details=True)
    except NotFoundError as error:
        raise NotFoundError(
            f"project {project} has no pipeline {name!r}; see pachctl list pipeline --project {project}"
        ) from error
    _refuse_idle(f"{project}/{name}", info)
    found = {one.name or one.repo: one for one in _pfs_inputs(info.details.input)}
    inputs = {
        key: ExistingInput(key, Reference(one.project or project, one.repo, one.branch), one.glob)
        for key, one in found.items()
    }
    return ExistingPipeline(project, name, info.version, inputs, is_of_step(info))


def _refuse_idle(name: str, info: pps.PipelineInfo) -> None:
    if info.stopped:
        raise PermanentError(f"pipeline {name} is stopped, it makes no job; start it: pachctl start pipeline")
    kinds = pps.PipelineInfoPipelineType
    if info.type in (kinds.PIPELINE_TYPE_SPOUT, kinds.PIPELINE_TYPE_SERVICE):
        raise PermanentError(f"pipeline {name} is a spout or a service, which has no jobs that end")


def _pfs_inputs(found: pps.Input) -> Iterator[pps.PfsInput]:
    if found.pfs.repo:
        yield found.pfs
    for several in (found.cross, found.union, found.join, found.group):
        for one in several:
            yield from _pfs_inputs(one)


def job_on(
    pachd: Pachd,
    pipeline: ExistingPipeline,
    commits: dict[str, Reference],
    deadline: float,
    tell: Callable[[str], None],
) -> tuple[ClaimedJob, bool]:
    """Finds or makes the pipeline's job on the given commits.

    It takes the newest job of the pipeline's current version on these commits, unless that job has failed.
    Otherwise it makes a job, if the commits are the heads of the pipeline's input branches.

    Args:
        pachd: the connection.
        pipeline: the pipeline.
        commits: input's name → commit, for every input.
        deadline: `time.monotonic()` until which it is tried.
        tell: takes one line for the user.

    Returns:
        The job, and whether this call made it.

    Raises:
        PermanentError: there is no such job, and Pachyderm can't make one on these commits, or a step made
            the pipeline.
        TemporaryError: a branch moved meanwhile.
    """
    found = _newest(pachd, pipeline, commits)
    if found and (not jobs.is_over(found) or found.state == pps.JobState.JOB_SUCCESS):
        tell(f"job {found.job.id} of {pipeline} is on these commits")
        return ClaimedJob(pipeline.project, pipeline.name, found.job.id), False
    if pipeline.of_step:
        raise PermanentError(
            f"pipeline {pipeline} has no good job of its current version on these commits, and kfp-pachyderm "
            "made it for a step, without which its jobs do nothing: run that step"
        )
    for name, commit in commits.items():
        _refuse_old(pachd, pipeline, pipeline.inputs[name].branch, commit)
    return _run_again(pachd, pipeline, commits, deadline), True


def _newest(pachd: Pachd, pipeline: ExistingPipeline, commits: dict[str, Reference]) -> pps.JobInfo | None:
    # ListJob(input_commit=...) would answer this in one call. But with auth on pachd refuses it, because it
    # loses the caller's token on the way (src/server/pps/server/api_server.go, intersectCommitSets).
    if not commits:
        name = message(pipeline.project, pipeline.name)
        return pachd.repeated(lambda: next(pachd.pps.list_job(pipeline=name), None), "ListJob")
    made = [_made_by(pachd, pipeline, one) for one in commits.values()]
    every = [_inspect_job(pachd, pipeline, one) for one in set.intersection(*made)]
    current = [one for one in every if one and one.pipeline_version == pipeline.version]
    return max(current, key=lambda one: one.created, default=None)


def _made_by(pachd: Pachd, pipeline: ExistingPipeline, commit: Reference) -> set[str]:
    """Returns the IDs of the pipeline's jobs that read a commit."""
    output = repo_message(pipeline.project, pipeline.name)
    below = pachd.pfs.inspect_commit(commit=commit_message(commit)).direct_subvenance
    return {one.id for one in below if one.repo == output}


def _inspect_job(pachd: Pachd, pipeline: ExistingPipeline, job_id: str) -> pps.JobInfo | None:
    try:
        return jobs.inspect(pachd, ClaimedJob(pipeline.project, pipeline.name, job_id))
    except NotFoundError:
        return None  # somebody deleted the job; its output commit is still there


def _reads(pachd: Pachd, job: ClaimedJob, commits: dict[str, Reference]) -> bool:
    return set(commits.values()) <= set(direct_inputs(jobs.inspect_output(pachd, job.output)))


def _refuse_old(pachd: Pachd, pipeline: ExistingPipeline, branch: Reference, commit: Reference) -> None:
    repo = repo_message(branch.project, branch.repo)
    head = pachd.pfs.inspect_branch(branch=pfs.Branch(repo=repo, name=branch.version)).head.id
    if head != commit.version:
        raise PermanentError(
            f"pipeline {pipeline} has no good job of its current version on {commit}, and Pachyderm makes "
            f"none: it reads {branch}, which is at {head} now; name that commit, or move the branch: "
            f"pachctl create branch {branch.repo}@{branch.version} --head {commit.version} "
            f"--project {branch.project}"
        )


def _run_again(
    pachd: Pachd, pipeline: ExistingPipeline, commits: dict[str, Reference], deadline: float
) -> ClaimedJob:
    spec = pfs.Repo(name=pipeline.name, type="spec", project=pfs.Project(name=pipeline.project))
    branch = pfs.Branch(repo=spec, name="master")

    def touch(inside: Pachd) -> None:
        # The spec branch's head is set to itself, so no branch moves. The only branches downstream of a spec
        # branch are those of its pipeline: they get a commit, and so a job. Setting an input branch would
        # make jobs of all pipelines that read it (Pachyderm src/server/pfs/server/server_branch.go,
        # propagateBranches).
        inside.pfs.create_branch(head=pfs.Commit(repo=spec, branch=branch), branch=branch)

    job = trying(
        pachd, pipeline, deadline, lambda _: in_transaction(pachd, pipeline.project, pipeline.name, touch)
    )
    try:
        right = _reads(pachd, job, commits)
    except BaseException as error:
        with suppress(PachydermError):
            jobs.stop(pachd, job, f"nobody knows what it reads: {error}")
        raise
    if not right:
        jobs.stop(pachd, job, "a branch moved before the job was made")
        raise TemporaryError(f"a branch that pipeline {pipeline} reads moved meanwhile; run the step again")
    return job
