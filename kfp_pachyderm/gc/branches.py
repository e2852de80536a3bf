"""Finds unneeded branches: claim branches and turns of deleted pipelines, fences, branches of a gathering.

Pachyderm refuses to delete a branch that a pipeline reads (src/internal/pfsdb/branches.go, DeleteBranch). So
a claim branch stays if a step has claimed with it meanwhile. A claim after the deletion makes it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from kfp_pachyderm.gc.leftover import Leftover, Search
from kfp_pachyderm.gc.owned import all_repos, branch_name, inspected, our_pipelines
from kfp_pachyderm.pachd.claims.fence import is_fence
from kfp_pachyderm.pachd.claims.gathering import MADE, PREFIX
from kfp_pachyderm.pachd.claims.turns import is_turn
from kfp_pachyderm.pachd.pipeline_plan import CLAIM_PREFIX, OWNER, OWNER_KEY
from kfp_pachyderm.pachd.sdk import pfs

#: Branches of the commits to gather, and of the commit made of them (`pachd.claims.gathering`).
_SOURCE, _GATHERED = re.compile(rf"{PREFIX}[0-9a-f]{{16}}-\d+"), re.compile(rf"{PREFIX}[0-9a-f]{{16}}")


def orphans(search: Search) -> Iterator[Leftover]:
    """Yields branches that kfp-pachyderm made and no pipeline reads."""
    driven = {(one.pipeline.project.name, one.pipeline.name) for one in our_pipelines(search)}
    for repo in all_repos(search):
        key = (repo.repo.project.name, repo.repo.name)
        wanted = [one for one in repo.branches if _may_be_ours(one.name)]
        for info in inspected(search, wanted):
            why = _why(search, repo, info, key in driven)
            sure = not info.branch.name.startswith(PREFIX) and not is_fence(info.branch.name)
            if why and not info.subvenance and search.is_old(info.updated_at, sure):
                yield _deleted(search, info, why)


def _may_be_ours(name: str) -> bool:
    return name.startswith((CLAIM_PREFIX, PREFIX)) or is_turn(name) or is_fence(name)


def _why(search: Search, repo: pfs.RepoInfo, info: pfs.BranchInfo, driven: bool) -> str:
    """Returns the reason to delete the branch; "" if kfp-pachyderm did not make it, or somebody needs it."""
    name, ours = info.branch.name, repo.metadata.get(OWNER_KEY) == OWNER
    if name.startswith(CLAIM_PREFIX) and info.metadata.get(OWNER_KEY) == OWNER:
        return "the claim branch of a pipeline that is gone"
    if is_turn(name) and ours and not driven:
        return "the turn of a pipeline that is gone"
    if is_fence(name) and ours:
        return "left by a gc that was killed"
    if _SOURCE.fullmatch(name) and _points_at_anothers_commit(search, info):
        return "a step was killed while it gathered commits"
    if _GATHERED.fullmatch(name) and repo.description == MADE:
        return "a step was killed while it gathered commits"
    return ""


def _points_at_anothers_commit(search: Search, info: pfs.BranchInfo) -> bool:
    """Tells whether the branch, without provenance or trigger, was made on a commit finished before."""
    if info.direct_provenance or info.trigger.branch:
        return False
    head = search.pachd.pfs.inspect_commit(commit=pfs.Commit(repo=info.head.repo, id=info.head.id))
    return bool(0 < head.finished.timestamp() < info.created_at.timestamp())


def _deleted(search: Search, info: pfs.BranchInfo, why: str) -> Leftover:
    remove = partial(search.pachd.pfs.delete_branch, branch=info.branch)
    return Leftover("branch", branch_name(info.branch), info.updated_at, 0, why, "delete", remove)
