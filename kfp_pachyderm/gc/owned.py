"""What is ours, as `pachd.claims.ownership` marks it."""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.errors import NotFoundError, PachydermError
from kfp_pachyderm.gc.leftover import Search
from kfp_pachyderm.pachd.pipeline_plan import OWNER, OWNER_KEY
from kfp_pachyderm.pachd.sdk import pfs, pps


def our_pipelines(search: Search) -> list[pps.PipelineInfo]:
    """Pipelines that steps made, as far as the token may list them."""
    every = search.pachd.repeated(
        lambda: list(search.pachd.pps.list_pipeline(details=True, projects=_projects(search))), "ListPipeline"
    )
    return [one for one in every if one.details.metadata.annotations.get(OWNER_KEY) == OWNER]


def all_repos(search: Search) -> list[pfs.RepoInfo]:
    """Repos of users' files, whosever they are, as far as the token may list them."""
    request = {"type": "user", "projects": _projects(search)}
    return search.pachd.repeated(lambda: list(search.pachd.pfs.list_repo(**request)), "ListRepo")


def _projects(search: Search) -> list[pfs.Project]:
    return [pfs.Project(name=search.project)] if search.project else []


def inspected(search: Search, branches: list[pfs.Branch]) -> Iterator[pfs.BranchInfo]:
    """The branches as they are now; what is gone by now is left out, what can't be seen is told."""
    for one in branches:
        try:
            yield search.pachd.pfs.inspect_branch(branch=one)
        except NotFoundError:
            continue
        except PachydermError as error:
            search.told.append(f"branch {branch_name(one)}: {error}")


def branch_name(branch: pfs.Branch) -> str:
    """As users write it."""
    return f"{branch.repo.project.name}/{branch.repo.name}@{branch.name}"
