"""What every reusable component is given, and how it records what it did."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kfp_pachyderm.launcher.executor_input import Execution
from kfp_pachyderm.launcher.record.final import look_further, write_outputs
from kfp_pachyderm.launcher.step_log import announce, say
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, parse
from kfp_pachyderm.provenance.graph.views.wording import duration, size
from kfp_pachyderm.provenance.kfp_page import commit_page
from kfp_pachyderm.provenance.kfp_task import KfpTask
from kfp_pachyderm.provenance.record import CommitRecord

#: The project of references that name none.
PROJECT = "default"


@dataclass(frozen=True)
class Call:
    """One run of a reusable component.

    Args:
        pachd: the connection.
        execution: KFP's executor input.
        task: the KFP task, for the record.
        deadline: `time.monotonic()` until which Pachyderm is waited for.
        began: `time.monotonic()` when it began.
    """

    pachd: Pachd
    execution: Execution
    task: KfpTask
    deadline: float
    began: float = field(default_factory=time.monotonic)

    def reference(self, name: str) -> Reference:
        """The commit reference in an input parameter.

        Raises:
            CommitReferenceError: it is none.
        """
        return parse(self.execution.parameter(name), PROJECT)

    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def done(self, verb: str, files: int, count: int, commit: Reference) -> None:
        """Says what was done with how many files and bytes of the commit, and how to look further."""
        took = duration(time.monotonic() - self.began)
        every = f"{files} file{'' if files == 1 else 's'}"
        say(f"{verb} {every}, {size(count)}, in {took}; {look_further(commit)}")

    def record(self, commit: Reference, facts: dict[str, str | int]) -> None:
        """Writes the outputs `commit` and `pachyderm`.

        Args:
            commit: the commit.
            facts: what else is known of it.
        """
        record = CommitRecord(self.task, commit, facts)
        write_outputs(self.execution, commit, commit_page(record), record.metadata())
        announce(f"commit={commit}")
