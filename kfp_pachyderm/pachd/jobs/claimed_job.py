"""Names a job: its pipeline and its ID."""

from __future__ import annotations

from dataclasses import dataclass

from kfp_pachyderm.pachd.pipeline_plan import message
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pps


@dataclass(frozen=True)
class ClaimedJob:
    """The job that a claim made.

    Args:
        project: Pachyderm project.
        pipeline: Pachyderm pipeline.
        id: the job's ID. Its transaction, output commit and commit set have the same ID.
    """

    project: str
    pipeline: str
    id: str

    @property
    def output(self) -> Reference:
        """The output commit."""
        return Reference(self.project, self.pipeline, self.id)

    def message(self) -> pps.Job:
        """Returns Pachyderm's message for the job."""
        return pps.Job(pipeline=message(self.project, self.pipeline), id=self.id)
