"""Lists repos, branches, and the pipelines that have the mark of `pachd.claims.ownership`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from kfp_pachyderm.errors import NotFoundError, PachydermError
from kfp_pachyderm.gc.leftover import Search
from kfp_pachyderm.pachd.pipeline_plan import is_of_step
from kfp_pachyderm.pachd.sdk import pfs, pps

T = TypeVar("T")


def our_pipelines(search: Search) -> list[pps.PipelineInfo]:
    """Returns the pipelines that steps made, as far as the token may list them."""
    request = {"details": True, "projects": _projects(search)}
    every = _once(search, "ListPipeline", lambda: search.pachd.pps.list_pipeline(**request))
    return list(filter(is_of_step, every))


def all_repos(search: Search) -> list[pfs.RepoInfo]:
    """Returns all repos of type `user`, whoever made them, as far as the token may list them."""
    request = {"type": "user", "projects": _projects(search)}
    return _once(search, "ListRepo", lambda: search.pachd.pfs.list_repo(**request))


def _once(search: Search, call: str, ask: Callable[[], Iterator[T]]) -> list[T]:
    """Makes a list call once for all finders of a search: a cluster may have thousands of repos."""
    if call not in search.listed:
        search.listed[call] = search.pachd.repeated(lambda: list(ask()), call)
    found: list[T] = search.listed[call]
    return found


def _projects(search: Search) -> list[pfs.Project]:
    return [pfs.Project(name=search.project)] if search.project else []


def inspected(search: Search, branches: list[pfs.Branch]) -> Iterator[pfs.BranchInfo]:
    """Yields the branches as they are now, without deleted ones; an error becomes a line in `told`."""
    for one in branches:
        try:
            yield search.pachd.pfs.inspect_branch(branch=one)
        except NotFoundError:
            continue
        except PachydermError as error:
            search.told.append(f"branch {branch_name(one)}: {error}")


def branch_name(branch: pfs.Branch) -> str:
    """Returns the branch as users write it: `project/repo@branch`."""
    return f"{branch.repo.project.name}/{branch.repo.name}@{branch.name}"
