"""Whose turn it is to make a pipeline's next job: of steps that want it at the same time exactly one gets it.

A pipeline's output repo has one branch `turn_…`. The transaction that makes a job deletes it and makes
another. Pachyderm's transactions are serializable (src/internal/dbutil/tx.go, WithTx), and deleting a branch
that is not there fails (src/server/pfs/server/server_branch.go, deleteBranch): who comes second fails as a
whole, and has changed nothing. A step that is killed has made its job or has not; nothing has to run out.
"""

from __future__ import annotations

import os

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.pipelines import PipelinePlan
from kfp_pachyderm.pachyderm.references import repo_message
from kfp_pachyderm.sdk import pfs

_PREFIX = "turn_"
#: What a pipeline begins with whose maker knew of no turns: another release, a step with concurrency=1.
_FIRST = f"{_PREFIX}first"

Turns = tuple[str, ...]


class TakenError(Exception):
    """Another step has made a job of the pipeline since its turns were looked at; no user sees it."""


def turns(pachd: Pachd, plan: PipelinePlan) -> Turns:
    """The pipeline's turns as they are now; none: there is no such pipeline."""
    try:
        found = _listed(pachd, plan)
        if not found:
            _make(pachd, plan, _FIRST)
            # Perhaps others have been quicker, and gone on.
            found = _listed(pachd, plan)
    except NotFoundError:
        return ()
    return found


def _listed(pachd: Pachd, plan: PipelinePlan) -> Turns:
    repo = repo_message(plan.project, plan.name)
    every = (one.branch.name for one in pachd.pfs.list_branch(repo=repo))
    return tuple(sorted(name for name in every if name.startswith(_PREFIX)))


def give_up(inside: Pachd, plan: PipelinePlan, seen: Turns) -> None:
    """In a job's transaction: fails where these turns are not there any more."""
    for name in seen:
        inside.pfs.delete_branch(branch=_branch(plan, name))


def take(inside: Pachd, plan: PipelinePlan) -> None:
    """In a job's transaction, once the pipeline is there: the next turn."""
    _make(inside, plan, _PREFIX + os.urandom(16).hex())


def _make(pachd: Pachd, plan: PipelinePlan, name: str) -> None:
    # Without a head it would get an empty commit, and a repo has one commit only in a transaction.
    output = _branch(plan, plan.fields.get("output_branch") or "master")
    pachd.pfs.create_branch(head=pfs.Commit(repo=output.repo, branch=output), branch=_branch(plan, name))


def _branch(plan: PipelinePlan, name: str) -> pfs.Branch:
    return pfs.Branch(repo=repo_message(plan.project, plan.name), name=name)
