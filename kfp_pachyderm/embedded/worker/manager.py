"""All pipelines' queues: a pipeline's jobs run one after the other, oldest first."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading

from kfp_pachyderm.embedded.pps import jobs, pipelines
from kfp_pachyderm.embedded.pps.jobs import Job, JobKey
from kfp_pachyderm.embedded.pps.pipelines import PipelineKey
from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.worker import usercode
from kfp_pachyderm.embedded.worker.logs import Logs
from kfp_pachyderm.embedded.worker.run.datum_runs import Working
from kfp_pachyderm.embedded.worker.run.job_run import JobRun

logger = logging.getLogger(__name__)

#: Seconds until a job that could neither run nor be ended is tried again.
RETRY = 1.0


class Manager:
    """Runs the store's unfinished jobs, those of each pipeline in a thread; a context manager.

    Args:
        store: the store.
        logs: all jobs' logs.
        services: the gRPC services of sidecars.
        host: the IPv4 address that user code and sidecars listen on.
    """

    def __init__(self, store: Store, logs: Logs, services: dict[str, handlers.Calls], host: str) -> None:
        self._store, self._logs, self._services, self.host = store, logs, services, host
        self._lock = threading.Lock()
        self._queues: dict[PipelineKey, threading.Thread] = {}
        self._runs: dict[JobKey, JobRun] = {}
        self._closing = False
        #: Seconds that the worker of a new pipeline, or of a new version of one, takes to start.
        self.worker_start = 0.0
        self._workers: set[tuple[PipelineKey, int]] = set()
        store.database.before_commit.append(jobs.propagate)
        store.database.subscribers.append(self._on_event)

    def __enter__(self) -> Manager:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Ends user code that an earlier server left running, and runs its unfinished jobs from the start."""
        left = usercode.kill_leftovers(self._store.folder)
        if left:
            logger.warning("ended %d processes of user code that an earlier server left running", left)
        shutil.rmtree(self._store.folder / "scratch", ignore_errors=True)
        open_jobs = jobs.select(self._store.read(), "WHERE finished IS NULL")
        for key in {PipelineKey(one.key.project, one.key.pipeline) for one in open_jobs}:
            self._wake(key)

    def close(self) -> None:
        """Kills the running jobs; the next server runs the queued ones."""
        with self._lock:
            self._closing = True
            running, threads = list(self._runs), list(self._queues.values())
        # The clients that wait for these jobs lose the server. A killed job has a reason; a job that stayed
        # RUNNING would have none.
        self._kill(running)
        for thread in threads:
            thread.join(10)

    def _kill(self, keys: list[JobKey]) -> None:
        with self._store.database.write() as txn:
            for key in keys:
                job = jobs.find(txn.db, key)
                if job is not None:
                    jobs.stop(txn, job, "the embedded Pachyderm was stopped")

    def working(self, key: JobKey) -> Working | None:
        """The datum that a job works on, if one has started."""
        run = self._runs.get(key)
        return run.working if run else None

    def running(self, key: PipelineKey) -> JobRun | None:
        """The pipeline's running job."""
        with self._lock:
            return next((run for job, run in self._runs.items() if (job.project, job.pipeline) == key), None)

    def _on_event(self, event: object) -> None:
        if isinstance(event, jobs.Created):
            self._wake(PipelineKey(event.project, event.pipeline))
        elif isinstance(event, jobs.Ended):
            self._log_end(event.key)
            run = self._runs.get(event.key)
            if run is not None:
                run.end()

    def _log_end(self, key: JobKey) -> None:
        job = jobs.find(self._store.read(), key)
        if job is not None:
            reason = f": {job.reason}" if job.reason else ""
            logger.info("job %s ended, %s%s", key, jobs.State(job.state).name, reason)

    def _wake(self, key: PipelineKey) -> None:
        with self._lock:
            if self._closing or key in self._queues:
                return
            thread = threading.Thread(target=self._run_queue, args=(key,), name=f"queue-{key}", daemon=True)
            self._queues[key] = thread
        thread.start()

    def _run_queue(self, key: PipelineKey) -> None:
        while job := self._next(key):
            try:
                self._run(job)
            except Exception:
                logger.exception("job %s broke the worker", job.key)
                self._give_up(job)

    def _next(self, key: PipelineKey) -> Job | None:
        """The pipeline's oldest unfinished job. Without one the queue ends, and a new job starts another."""
        with self._lock:
            waiting = [] if self._closing else jobs.unfinished(self._store.read(), *key)
            if not waiting:
                del self._queues[key]
                return None
            return waiting[0]

    def _run(self, job: Job) -> None:
        self._wait_for_worker(job)
        pipeline = pipelines.get(self._store.read(), PipelineKey(*job.key[:2]), job.version)
        run = JobRun(self._store, self._logs, job, pipeline, self._services, self.host)
        with self._lock:
            self._runs[job.key] = run
            closing = self._closing
        try:
            current = jobs.find(self._store.read(), job.key)
            if not closing and current is not None and not current.terminal:
                run.run()
        finally:
            with self._lock:
                del self._runs[job.key]

    def _wait_for_worker(self, job: Job) -> None:
        """Waits until the worker of the job's pipeline version has started; each version has its own."""
        worker = (PipelineKey(*job.key[:2]), job.version)
        if worker not in self._workers and self.worker_start:
            self._store.database.wait(lambda: None, lambda: not self._closing, timeout=self.worker_start)
        self._workers.add(worker)

    def _give_up(self, job: Job) -> None:
        reason = "the embedded worker failed; server.log in the data folder says why"
        try:
            with self._store.database.write() as txn:
                current = jobs.find(txn.db, job.key)
                if current is not None and not current.terminal:
                    jobs.end(txn, job, jobs.State.JOB_FAILURE, reason)
        except (sqlite3.Error, OSError):
            # The failure can't be stored, for instance on a full disk. The job is tried again until it can.
            logger.exception("job %s can't be ended", job.key)
            self._store.database.wait(lambda: None, lambda: not self._closing, timeout=RETRY)
