"""Runs one job from its start to its end.

The order is Pachyderm's (src/server/worker/pipeline/transform/registry.go, pending_job.go): the job becomes
RUNNING, then its output is erased, then user code starts.
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack, suppress
from functools import partial

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.fields import has
from kfp_pachyderm.embedded.pps import images
from kfp_pachyderm.embedded.pps.jobs import Job, State
from kfp_pachyderm.embedded.pps.pipelines import Pipeline
from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.sidecar import Sidecar
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import commits
from kfp_pachyderm.embedded.store.sqlite.database import new_id
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.worker import datums
from kfp_pachyderm.embedded.worker.logs import Logs
from kfp_pachyderm.embedded.worker.run import waits
from kfp_pachyderm.embedded.worker.run.datum_runs import DatumRuns, Working
from kfp_pachyderm.embedded.worker.run.interrupts import Ended, Interrupts, Replaced, Restarted, TimedOut
from kfp_pachyderm.embedded.worker.run.job_sidecar import JobSidecar
from kfp_pachyderm.embedded.worker.run.running_job import RunningJob
from kfp_pachyderm.embedded.worker.run.stored_job import StoredJob

#: Seconds between RUNNING and the erasure. What a client writes in between is lost, as in Pachyderm.
ERASE_DELAY = 0.005
#: Seconds from the loss of a worker to its replacement.
REPLACE_DELAY = 0.3


class JobRun:
    """Runs one job; `run` blocks until it is terminal or ended from outside.

    Args:
        store: the store.
        logs: all jobs' logs.
        job: the job.
        pipeline: its pipeline, in the job's version.
        services: the gRPC services of its sidecar.
        host: the IPv4 address that user code and sidecar listen on.
    """

    def __init__(
        self,
        store: Store,
        logs: Logs,
        job: Job,
        pipeline: Pipeline,
        services: dict[str, handlers.Calls],
        host: str,
    ) -> None:
        self._store, self._logs, self._job = store, logs, job
        self._details = pipeline.shared_info.details
        self._spec_commit = commits.by_id(store.read(), pipeline.spec_commit).set_id
        self._interrupts = Interrupts(store.database)
        self._stored = StoredJob(store.database, job, self._interrupts)
        self._sidecar = JobSidecar(partial(Sidecar, store, job, self._details, services, host), host)
        self._datums: DatumRuns | None = None

    @property
    def working(self) -> Working | None:
        """The datum that the job works on; None: no datum has started."""
        return self._datums.working if self._datums else None

    def end(self) -> None:
        """Ends the run of a job that is terminal or deleted; from any thread."""
        self._interrupts.end()

    def replace(self) -> None:
        """Acts as if the worker were lost and another one took over; from any thread."""
        self._interrupts.replace()

    def replace_at_the_end(self) -> None:
        """As `replace`, between the end of user code and that of the job; from any thread."""
        self._interrupts.replace_at_the_end(Replaced)

    def kill_sidecar(self, seconds: float) -> None:
        """Acts as if the sidecar's container were killed, and back after `seconds`; from any thread."""
        self._interrupts.replace_at_the_end(Restarted)
        self._sidecar.kill(seconds)

    def run(self) -> None:
        """Runs the whole job."""
        with ExitStack() as stack:
            log = stack.enter_context(self._logs.open(self._job.key))
            running = RunningJob(
                self._store, self._job, self._details, self._spec_commit, self._interrupts, log
            )
            self._datums = DatumRuns(running, self._sidecar.ports)
            stack.callback(shutil.rmtree, running.scratch, ignore_errors=True)
            stack.callback(self._sidecar.close)
            try:
                if self._start(running):
                    while not self._attempt(running, self._datums):
                        pass
            except Ended:
                log.write("job ended from outside")
            except Refused as error:
                with suppress(Ended):  # the job was deleted meanwhile
                    self._stored.finish(State.JOB_FAILURE, error.text)

    def _start(self, running: RunningJob) -> bool:
        """Waits for the job's inputs; returns whether the job can run."""
        image = self._details.transform.image
        running.log.write(
            f"job {self._job.key}: image {image} is kept in the spec, not run; user code runs on this machine"
        )
        if not images.can_be_had(image):
            waits.until_ended(running)
        self._stored.set_state(State.JOB_STARTING)
        failed = waits.for_inputs(running)
        if failed:
            reason = f"unrunnable because the following upstream pipelines failed: {', '.join(failed)}"
            self._stored.finish(State.JOB_UNRUNNABLE, reason)
        return not failed

    def _attempt(self, running: RunningJob, runs: DatumRuns) -> bool:
        """Does what a replaced worker does again; returns whether the job is over."""
        try:
            self._begin(running)
            self._run_datums(running, runs)
        except Replaced as lost:
            if isinstance(lost, Restarted):
                self._stored.count_restart()
            running.log.write("worker or sidecar was lost: output erased, user code starts again")
            time.sleep(REPLACE_DELAY)
            return False
        except TimedOut:
            self._stored.finish(State.JOB_KILLED, " jobtimed out")
        return True

    def _begin(self, running: RunningJob) -> None:
        self._stored.set_state(State.JOB_RUNNING)
        self._interrupts.limit(self._details.job_timeout if has(self._details, "job_timeout") else None)
        erase = time.monotonic() + ERASE_DELAY
        self._sidecar.open()
        time.sleep(max(0.0, erase - time.monotonic()))
        if self._details.s3_out:
            waits.for_base(running, self._stored.count_restart)
        self._stored.erase()

    def _run_datums(self, running: RunningJob, runs: DatumRuns) -> None:
        planned = list(datums.plan(self._store, self._job, self._details.input))
        self._stored.plan(planned)
        fileset = new_id()
        recovered = 0
        for done, datum in enumerate(planned):
            state = runs.run(datum, fileset)
            self._stored.count(datum, state, processed=done + 1 - recovered, recovered=recovered)
            if state == pps.DatumState.FAILED:
                self._stored.finish(State.JOB_FAILURE, f"datum {datum.id} failed")
                return
            recovered += state == pps.DatumState.RECOVERED
        self._interrupts.raise_pending()
        self._stored.set_state(State.JOB_FINISHING)
        waits.for_base(running)
        self._stored.finish(State.JOB_SUCCESS)
