"""One commit that is compared, with its record and its inputs."""

from __future__ import annotations

from dataclasses import dataclass

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.pachd.commits.direct_inputs import direct_inputs
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, commit_message, missing
from kfp_pachyderm.provenance.record import StepRecord
from kfp_pachyderm.provenance.stored_record import read


@dataclass(frozen=True)
class Made:
    """A commit, and what it was made from.

    Args:
        commit: the commit, by its ID.
        record: its record; None: no step of kfp-pachyderm made it.
        inputs: input's name → commit; where no record names the inputs, `project/repo` → commit.
        has_code: whether the record has the code and the parameters; an older release's record has not.
    """

    commit: Reference
    record: StepRecord | None
    inputs: dict[str, Reference]
    has_code: bool

    @property
    def task(self) -> str:
        """The KFP task's name; "": there is no record."""
        return self.record.task.task if self.record else ""


def made(pachd: Pachd, commit: Reference) -> Made:
    """Asks Pachyderm for a commit.

    Args:
        pachd: the connection.
        commit: the commit by its ID, or a branch, whose head is taken.

    Raises:
        NotFoundError: there is no such commit.
    """
    try:
        info = pachd.pfs.inspect_commit(commit=commit_message(commit))
    except NotFoundError as error:
        raise missing(pachd, commit) from error
    pinned = Reference(commit.project, commit.repo, info.commit.id)
    stored = read(pinned, info.metadata)
    record = stored.record if stored else None
    behind = {f"{one.project}/{one.repo}": one for one in direct_inputs(info)}
    inputs = record.inputs if record and record.inputs else behind
    return Made(pinned, record, inputs, bool(stored and stored.actual and not stored.problem))
