"""The job that a run is about, with all that its parts need of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.pps.jobs import Job
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.worker.logs import JobLog
from kfp_pachyderm.embedded.worker.run.interrupts import Interrupts


@dataclass(frozen=True)
class RunningJob:
    """A job that runs.

    Args:
        store: the store.
        job: the job, as it was when its run began.
        details: its pipeline's details, in the job's version.
        spec_commit: the ID of that version's spec commit.
        interrupts: what interrupts the run.
        log: the job's log.
    """

    store: Store
    job: Job
    details: pps.PipelineInfoDetails
    spec_commit: str
    interrupts: Interrupts
    log: JobLog

    @property
    def scratch(self) -> Path:
        """The folder of all jobs of its commit set, which is removed after the run."""
        return self.store.folder / "scratch" / self.job.key.id

    @property
    def folder(self) -> Path:
        """The folder of its datums' files, user code's working directory."""
        return self.scratch / self.job.key.project / self.job.key.pipeline
