"""What is known of one commit that is compared."""

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
        commit: by its ID.
        record: its record; None: no step of ours wrote it.
        inputs: input's name → commit; without a record, or with one that does not say, the repo's name.
        has_code: whether the record says what ran: of an older release's that is not known.
    """

    commit: Reference
    record: StepRecord | None
    inputs: dict[str, Reference]
    has_code: bool

    @property
    def task(self) -> str:
        """The KFP task; ""."""
        return self.record.task.task if self.record else ""


def made(pachd: Pachd, commit: Reference) -> Made:
    """Asks for it.

    Args:
        pachd: the connection.
        commit: by its ID, or the head of a branch.

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
