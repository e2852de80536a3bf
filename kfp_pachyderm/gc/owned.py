"""What is ours, as `pachd.claims.ownership` marks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from kfp_pachyderm.errors import NotFoundError, PachydermError
from kfp_pachyderm.gc.leftover import Search
from kfp_pachyderm.pachd.pipeline_plan import OWNER, OWNER_KEY
from kfp_pachyderm.pachd.sdk import pfs, pps

T = TypeVar("T")


def our_pipelines(search: Search) -> list[pps.PipelineInfo]:
    """Pipelines that steps made, as far as the token may list them."""
    request = {"details": True, "projects": _projects(search)}
    every = _once(search, "ListPipeline", lambda: search.pachd.pps.list_pipeline(**request))
    return [one for one in every if one.details.metadata.annotations.get(OWNER_KEY) == OWNER]


def all_repos(search: Search) -> list[pfs.RepoInfo]:
    """Repos of users' files, whosever they are, as far as the token may list them."""
    request = {"type": "user", "projects": _projects(search)}
    return _once(search, "ListRepo", lambda: search.pachd.pfs.list_repo(**request))


def _once(search: Search, call: str, ask: Callable[[], Iterator[T]]) -> list[T]:
    """What the finders of one look all go through: a cluster may have thousands."""
    if call not in search.listed:
        search.listed[call] = search.pachd.repeated(lambda: list(ask()), call)
    found: list[T] = search.listed[call]
    return found


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
