"""Turns: of several steps that want a pipeline's next job at the same time, exactly one gets it.

A turn is a branch of the pipeline's output repo. A step first lists the turns, then finds the pipeline free.
The transaction that makes its job deletes the listed turns, and makes a new one. Pachyderm's transactions are
serializable (src/internal/dbutil/tx.go, WithTx), and deleting a branch that does not exist fails
(src/server/pfs/server/server_branch.go, deleteBranch). So the transaction of the second step fails, and
changes nothing. No turn's name is used twice, so several turns at once are no problem. A turn has no time
limit: a step that is killed has either made its job or not.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from kfp_pachyderm.errors import AuthenticationError, NotFoundError
from kfp_pachyderm.pachd.claims.ownership import find_pipeline
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.pipeline_plan import PipelinePlan, claim_branch, message
from kfp_pachyderm.pachd.references import commit_message, repo_message
from kfp_pachyderm.pachd.sdk import pfs, pps, transaction

_PREFIX = "turn_"
_TURN = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")
#: Seconds for the call that makes a job. pachd repeats a transaction that conflicts with another one without
#: end, with longer pauses each time, and a new call overtakes it (src/internal/dbutil/tx.go, WithTx).
_LONGEST = 10.0

Turns = frozenset[str]


class TakenError(Exception):
    """Another step has made a job of the pipeline since its turns were listed. Users never see this error."""


def turns(pachd: Pachd, project: str, name: str) -> Turns:
    """Lists a pipeline's turns; none if nobody has made one yet, or there is no such pipeline."""
    repo = repo_message(project, name)
    try:
        every = [one.branch.name for one in pachd.pfs.list_branch(repo=repo)]
    except NotFoundError:
        return frozenset()
    return frozenset(name for name in every if name.startswith(_PREFIX))


class Look(NamedTuple):
    """A pipeline as it was found, and its turns, listed before that."""

    seen: Turns
    found: pps.PipelineInfo | None


def look(pachd: Pachd, project: str, name: str, takes_turns: bool) -> Look:
    """Inspects a step's pipeline and lists its turns, before the step's plan is known."""
    try:
        # The turns are listed first: any job that is made from now on deletes them.
        seen = turns(pachd, project, name) if takes_turns else frozenset()
    except AuthenticationError:
        seen = frozenset()  # the check of the step's permissions comes later, and raises with a way out
    return Look(seen, find_pipeline(pachd, project, name))


def is_turn(name: str) -> bool:
    """Tells whether a branch of that name is a turn."""
    return bool(_TURN.fullmatch(name))


def new_turn() -> str:
    """Returns a new, random turn's name."""
    return _PREFIX + os.urandom(16).hex()


def make(pachd: Pachd, plan: PipelinePlan) -> None:
    """Makes a turn for a pipeline that has none."""
    pachd.pfs.create_branch(**_taken(plan, new_turn()))


def give_up(inside: Pachd, plan: PipelinePlan, seen: Turns) -> None:
    """Deletes these turns inside a job's transaction, which fails if one of them does not exist any more."""
    for name in seen:
        inside.pfs.delete_branch(branch=_branch(plan, name))


def job_in_one_call(pachd: Pachd, plan: PipelinePlan, seen: Turns, own: str) -> str:
    """Makes a job by one call, of a pipeline that is already as the plan wants it.

    Pachyderm carries out each call that joins a transaction on its own, together with all earlier ones. With
    several steps at once these conflict, and Pachyderm repeats them again and again (measured: four steps at
    once, 20 s each). One call with all requests avoids that.

    Args:
        pachd: the connection.
        plan: the pipeline and its pinned inputs.
        seen: the turns to delete.
        own: the turn to make; the same one in each try of the same step.

    Returns:
        The job's ID.

    Raises:
        PachydermError: no job was made, or it is not known: `job_of` finds it.
    """
    move = transaction.TransactionRequest
    given_up = [pfs.DeleteBranchRequest(branch=_branch(plan, name)) for name in seen]
    moved = [{"head": commit_message(one.commit), "branch": claim_branch(one)} for one in plan.inputs]
    requests = [move(delete_branch=one) for one in given_up]
    requests += [move(create_branch=pfs.CreateBranchRequest(**one)) for one in (*moved, _taken(plan, own))]
    made = pachd.patient(_LONGEST).transactions.batch_transaction(requests=requests)
    return str(made.transaction.id)


def job_of(pachd: Pachd, plan: PipelinePlan, own: str) -> str | None:
    """Returns the ID of the job that was made with the turn `own`, while it is the pipeline's newest job.

    It returns None if there is no such turn any more, or never was.
    """
    if own not in turns(pachd, plan.project, plan.name):
        return None
    name = message(plan.project, plan.name)
    newest = pachd.repeated(lambda: list(pachd.pps.list_job(pipeline=name, number=1)), "ListJob")
    return newest[0].job.id if newest else None


def _taken(plan: PipelinePlan, name: str) -> dict[str, Any]:
    # A branch without a given head gets an empty commit. But a transaction makes one commit per repo, and
    # that is the job's output commit.
    output = _branch(plan, plan.fields.get("output_branch") or "master")
    return {"head": pfs.Commit(repo=output.repo, branch=output), "branch": _branch(plan, name)}


def _branch(plan: PipelinePlan, name: str) -> pfs.Branch:
    return pfs.Branch(repo=repo_message(plan.project, plan.name), name=name)
