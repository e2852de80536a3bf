"""Finds the records of the steps that a replay has to run again."""

from __future__ import annotations

from dataclasses import dataclass

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.target import target
from kfp_pachyderm.provenance.history import of_run
from kfp_pachyderm.provenance.record import StepRecord
from kfp_pachyderm.provenance.stored_record import Stored, read


@dataclass(frozen=True)
class Found:
    """The steps of a replay.

    Args:
        run: the ID of the KFP run, if the replay is of a whole run; else "".
        steps: output commit → stored record of the step that made it, in the order in which the steps began.
        told: lines for the user: which steps are left out, and what could not be examined.
    """

    run: str
    steps: dict[Reference, Stored]
    told: tuple[str, ...] = ()


def find(pachd: Pachd, of: str, project: str, whole: bool) -> Found:
    """Finds the steps of a commit, a job or a KFP run.

    Args:
        pachd: the connection.
        of: a commit, a job's ID or a KFP run's ID, as `kfp-pachyderm lineage` takes it.
        project: the project of a commit reference without one.
        whole: whether to take all steps of the KFP run that made the commit.

    Raises:
        NotFoundError: there is no such commit or run, or no step of kfp-pachyderm made it.
    """
    start = target(pachd, of, project)
    known = {one: start.known.get(one) or commit_facts.inspect(pachd, one) for one in start.commits}
    stored = {commit: found for commit, facts in known.items() if (found := read(commit, facts.metadata))}
    run = start.run or (next((one.record.task.run for one in stored.values()), "") if whole else "")
    if not stored:
        raise NotFoundError(
            f"no step of kfp-pachyderm made {of}, so there is no record to make it again from; see what did: "
            f"kfp-pachyderm lineage {of}"
        )
    if not run:
        return Found("", stored, start.told)
    every, told = (start.known, list(start.told)) if start.run else of_run(pachd, run)
    stored = {commit: found for commit, facts in every.items() if (found := read(commit, facts.metadata))}
    left_out = [f"{commit}, {why}" for commit, one in stored.items() if (why := _left_out(one.record))]
    steps = {commit: one for commit, one in stored.items() if not _left_out(one.record)}
    by_start = sorted(steps.items(), key=lambda one: (one[1].record.started, str(one[0])))
    return Found(run, dict(by_start), (*told, *(f"not made again: {one}" for one in left_out)))


def _left_out(record: StepRecord) -> str:
    if record.state != "SUCCESS":
        return f"whose step {record.task.task} did not succeed ({record.state})"
    if "/" in record.task.component:
        return f"which the reusable component {record.task.component} made"
    return ""
