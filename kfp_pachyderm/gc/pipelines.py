"""Finds idle pipelines of steps: gc deletes those without a result, and puts the others to sleep.

Pachyderm refuses to make a pipeline whose output repo exists already (src/server/pps/server/api_server.go,
CreatePipelineInTransaction). If gc deleted a pipeline and kept its repo, the step could never run under its
name again. So gc keeps a pipeline whose repo holds results, and only ends its worker: gc sets `autoscaling`
in the spec, with which a worker runs only while there is a job. The next step finds a spec that differs from
its own, and updates the pipeline when it claims its job.

A step may claim a job at any moment. So gc makes a fence (`pachd.claims.fence`) before it looks for jobs. A
step that claims a job later sees the fence and waits. If its job is gone by then, it claims another one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from kfp_pachyderm.errors import AuthenticationError, NotFoundError, PachydermError
from kfp_pachyderm.gc.leftover import InUseError, Leftover, Search
from kfp_pachyderm.gc.owned import inspected, our_pipelines
from kfp_pachyderm.pachd.claims.claim import in_transaction
from kfp_pachyderm.pachd.claims.fence import fenced
from kfp_pachyderm.pachd.claims.turns import is_turn
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.pipeline_plan import OWNER, OWNER_KEY, branch_name, output_branch, pfs_inputs
from kfp_pachyderm.pachd.references import repo_message
from kfp_pachyderm.pachd.sdk import auth, pfs, pps, serialized_on_wire
from kfp_pachyderm.provenance.kfp_task import PREFIX

logger = logging.getLogger(__name__)

#: The annotation of a pipeline that gc has put to sleep; its value is the time.
ASLEEP_KEY = "kfp-pachyderm/asleep"


def idle(search: Search) -> Iterator[Leftover]:
    """Yields the idle pipelines of steps."""
    for info in our_pipelines(search):
        try:
            found = _leftover(search, info)
        except NotFoundError:
            continue  # deleted meanwhile
        except PachydermError as error:
            search.told.append(f"pipeline {_name(info)}: {error}")
            continue
        if found:
            yield found


def _leftover(search: Search, info: pps.PipelineInfo) -> Leftover | None:
    made = jobs.newest(search.pachd, info.pipeline.project.name, info.pipeline.name)
    ended = [one.finished for one in made if one.finished.timestamp() > 0]
    since = max([info.details.updated_at or info.details.created_at, *ended])
    if not all(map(jobs.is_over, made)) or not search.is_old(since):
        return None
    name, repo = _name(info), _repo(search, info)
    if any(map(_is_result, _commits(search, info))):
        if (
            info.stopped
            or ASLEEP_KEY in info.details.metadata.annotations
            or _readers(search, info, repo, False)
        ):
            return None
        why = "idle, and its output holds results: its worker ends, the next step starts it again"
        return Leftover("pipeline", name, since, 0, why, "sleep", partial(_remove, search, info, _sleep))
    if _readers(search, info, repo, True):
        return None
    why = "idle, and no job of it has a result; with its claim branches"
    size = repo.size_bytes_upper_bound
    return Leftover("pipeline", name, since, size, why, "delete", partial(_remove, search, info, _delete))


def _name(info: pps.PipelineInfo) -> str:
    return f"{info.pipeline.project.name}/{info.pipeline.name}"


def _repo(search: Search, info: pps.PipelineInfo) -> pfs.RepoInfo:
    return search.pachd.pfs.inspect_repo(repo=repo_message(info.pipeline.project.name, info.pipeline.name))


def _commits(search: Search, info: pps.PipelineInfo) -> Iterator[CommitFacts]:
    every = commit_facts.of_repo(search.pachd, info.pipeline.project.name, info.pipeline.name)
    return map(commit_facts.decode, every)


def _is_result(one: CommitFacts) -> bool:
    """Tells whether the commit holds a result, is in another commit's provenance, or is not finished."""
    good = not one.error and (one.size > 0 or any(key.startswith(PREFIX) for key in one.metadata))
    return good or bool(one.below) or one.finished is None


def _readers(search: Search, info: pps.PipelineInfo, repo: pfs.RepoInfo, any_branch: bool) -> bool:
    """Tells whether pipelines read the output branch, or with `any_branch` any branch of the output repo."""
    output = output_branch(info).name
    wanted = [one for one in repo.branches if any_branch or one.name == output]
    return any(one.subvenance for one in inspected(search, wanted))


def _remove(search: Search, seen: pps.PipelineInfo, act: Callable[[Search, pps.PipelineInfo], None]) -> None:
    """Deletes the pipeline or puts it to sleep, behind a fence, if it is still as it was found."""
    with fenced(search.pachd, output_branch(seen)) as pachd:
        search = replace(search, pachd=pachd)
        info = pachd.pps.inspect_pipeline(pipeline=seen.pipeline, details=True)
        found = _leftover(search, info)
        if info.version != seen.version or found is None or found.remove.args[-1] is not act:  # type: ignore[attr-defined]
            raise InUseError(f"pipeline {_name(seen)} has been used meanwhile, and stays as it is")
        act(search, info)


def _delete(search: Search, info: pps.PipelineInfo) -> None:
    _require_right(search, info)
    search.pachd.pps.delete_pipeline(pipeline=info.pipeline)
    for branch in _claim_branches(info):
        # A branch that a pipeline reads again stays; the next gc finds one that could not be deleted.
        with suppress(PachydermError):
            search.pachd.pfs.delete_branch(branch=branch)


def _require_right(search: Search, info: pps.PipelineInfo) -> None:
    """Checks REPO_DELETE: Pachyderm would stop the pipeline first, and refuse then (deletePipeline)."""
    found = _repo(search, info).auth_info
    if serialized_on_wire(found) and auth.Permission.REPO_DELETE not in found.permissions:
        raise AuthenticationError(
            f"pipeline {_name(info)}: the token needs permissions [REPO_DELETE] on REPO {_name(info)}; bind "
            f"the role repoOwner there to its owner: pachctl auth set repo {info.pipeline.name} --project "
            f"{info.pipeline.project.name} repoOwner <principal>"
        )


def _claim_branches(info: pps.PipelineInfo) -> Iterator[pfs.Branch]:
    pipeline = info.pipeline
    for one in pfs_inputs(info):
        project = one.project or pipeline.project.name
        # a person may have given the pipeline another input, whose branch is not a claim branch
        if one.branch == branch_name(pipeline.project.name, pipeline.name, project):
            yield pfs.Branch(repo=repo_message(project, one.repo), name=one.branch)


def _sleep(search: Search, info: pps.PipelineInfo) -> None:
    project, name = info.pipeline.project.name, info.pipeline.name
    seen = [one for one in _repo(search, info).branches if is_turn(one.name)]
    wanted = json.dumps(asleep(json.loads(info.user_spec_json), search.now.isoformat()))

    def fill(inside: Any) -> None:
        # A step that has seen these turns can't claim with them: it looks at the pipeline again.
        for one in seen:
            inside.pfs.delete_branch(branch=one)
        inside.pps.create_pipeline_v2(create_pipeline_request_json=wanted, update=True)

    _forget(search, in_transaction(search.pachd, project, name, fill))


def asleep(spec: dict[str, Any], when: str) -> dict[str, Any]:
    """Returns the spec with `autoscaling`, with which a worker runs only while there is a job."""
    metadata = spec.get("metadata", {})
    annotations = {**metadata.get("annotations", {}), OWNER_KEY: OWNER, ASLEEP_KEY: when}
    return {**spec, "autoscaling": True, "metadata": {**metadata, "annotations": annotations}}


def _forget(search: Search, job: ClaimedJob) -> None:
    """Deletes the job that an update of the spec makes, and its commits, so that the last result is the head.

    If a step has claimed a job meanwhile, the step's commit has this job's commit as its parent. Then the
    job's commit stays, as a failed one.
    """
    project = pfs.Project(name=job.project)
    repos = [pfs.Repo(name=job.pipeline, type=kind, project=project) for kind in ("user", "meta")]
    try:
        search.pachd.pps.delete_job(job=job.message())
        for repo in repos:
            search.pachd.pfs.drop_commit(commit=pfs.Commit(repo=repo, id=job.id))
    except PachydermError as error:
        logger.debug("job %s: %s", job.output, error)
