"""Runs one job from its start to its end.

The order is Pachyderm's (src/server/worker/pipeline/transform/registry.go, pending_job.go): the job becomes
RUNNING, then its output is erased, then user code starts.
"""

from __future__ import annotations

import logging
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.fields import has
from kfp_pachyderm.embedded.pps import images, inputs, jobs
from kfp_pachyderm.embedded.pps.jobs import Job, State
from kfp_pachyderm.embedded.pps.pipelines import Pipeline
from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.sidecar import Sidecar
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import commits, repos
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Txn, new_id, now
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.worker import datums, environment, usercode
from kfp_pachyderm.embedded.worker.datums import Datum
from kfp_pachyderm.embedded.worker.logs import JobLog, Logs
from kfp_pachyderm.embedded.worker.usercode import UserCode

logger = logging.getLogger(__name__)

#: Seconds between RUNNING and the erasure. What a client writes in between is lost, as in Pachyderm.
ERASE_DELAY = 0.005
#: Seconds from the loss of a worker to its replacement.
REPLACE_DELAY = 0.3


class Ended(Exception):
    """The job was ended from outside, or the server is stopping."""


class Replaced(Exception):
    """The worker was replaced: the job starts again; its `restart` does not count that."""


class Restarted(Replaced):
    """The sidecar was lost: after user code's exit with 0 the job starts again; its `restart` counts that."""


class TimedOut(Exception):
    """The job has reached its `job_timeout`."""


@dataclass(frozen=True)
class Working:
    """The datum that a job works on: its start, and where its user code and sidecar listen."""

    datum: Datum
    started: int
    ports: environment.Ports


Signal = tuple[Literal["exit", "end", "replace"], int]


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
        self._store, self._job, self._services, self._host = store, job, services, host
        self._details = pipeline.shared_info.details
        self._spec_commit = commits.by_id(store.read(), pipeline.spec_commit).set_id
        self._signals: SimpleQueue[Signal] = SimpleQueue()
        self._stopped = False
        self._pending_fault: type[Replaced] | None = None
        self._logs = logs
        self._sidecar: Sidecar | None = None
        self._folder = store.folder / "scratch" / job.key.id / job.key.project / job.key.pipeline
        self._deadline: float | None = None
        #: The datum that the job works on, for `worker_status` and the locator; None: no datum has started.
        self.working: Working | None = None

    def end(self) -> None:
        """Ends the run of a job that is terminal or deleted; from any thread."""
        self._stopped = True
        self._signals.put(("end", 0))
        self._store.database.wake()

    def replace(self) -> None:
        """Acts as if the worker were lost and another one took over; from any thread."""
        self._signals.put(("replace", 0))

    def replace_at_the_end(self) -> None:
        """As `replace`, between the end of user code and that of the job; from any thread."""
        self._pending_fault = Replaced

    def kill_sidecar(self, seconds: float) -> None:
        """Acts as if the sidecar's container were killed, and back after `seconds`; from any thread."""
        self._pending_fault = Restarted
        if self._sidecar is not None:
            threading.Thread(target=self._sidecar.kill, args=(seconds,), daemon=True).start()

    def run(self) -> None:
        """Runs the whole job."""
        with ExitStack() as stack:
            self._log: JobLog = stack.enter_context(self._logs.open(self._job.key))
            stack.callback(
                shutil.rmtree, self._store.folder / "scratch" / self._job.key.id, ignore_errors=True
            )
            stack.callback(self._close_sidecar)
            try:
                if self._start():
                    while not self._attempt():
                        pass
            except Ended:
                self._log.write("job ended from outside")
            except Refused as error:
                with suppress(Ended):  # the job was deleted meanwhile
                    self._finish(State.JOB_FAILURE, error.text)

    def _start(self) -> bool:
        """Waits for the job's inputs; returns whether the job can run."""
        key, image = self._job.key, self._details.transform.image
        self._log.write(
            f"job {key}: image {image} is kept in the spec, not run; user code runs on this machine"
        )
        if not images.can_be_had(image):
            self._store.database.wait(lambda: None, lambda: not self._stopped)
            raise Ended
        self._set_state(State.JOB_STARTING)
        failed = self._wait_for_inputs()
        if failed:
            reason = f"unrunnable because the following upstream pipelines failed: {', '.join(failed)}"
            self._finish(State.JOB_UNRUNNABLE, reason)
        return not failed

    def _wait_for_inputs(self) -> list[str]:
        """Waits until the input commits are finished; returns the names of inputs whose commit failed."""

        def finished() -> list[Commit] | None:
            found = commits.provenance(self._store.read(), self._job.output)
            return found if all(one.finished is not None for one in found) else None

        found = self._store.database.wait(finished, lambda: not self._stopped)
        if found is None or self._stopped:
            raise Ended
        failed = {one.repo for one in found if one.error}
        names = inputs.pfs_inputs(self._details.input)
        return [one.name for one in names if RepoKey(one.project, one.repo, one.repo_type) in failed]

    def _attempt(self) -> bool:
        """Does what a replaced worker does again; returns whether the job is over."""
        try:
            self._set_state(State.JOB_RUNNING)
            self._set_deadline()
            erase = time.monotonic() + ERASE_DELAY
            self._open_sidecar()
            time.sleep(max(0.0, erase - time.monotonic()))
            if self._details.s3_out:
                self._wait_for_base(self._count_restart)
            self._erase()
            self._run_datums()
        except Replaced as lost:
            self.working = None
            if isinstance(lost, Restarted):
                self._count_restart()
            self._log.write("worker or sidecar was lost: output erased, user code starts again")
            time.sleep(REPLACE_DELAY)
            return False
        except TimedOut:
            self._finish(State.JOB_KILLED, " jobtimed out")
        return True

    def _wait_for_base(self, found: Callable[[], None] = lambda: None) -> None:
        """Waits while the parent of the output commit is open: a dropped commit can leave such a one.

        pachd refuses to empty and to finish an output commit without its base (`DeleteFile`, compactCommit).
        It tries again for ever, and counts each try as a restart. Here `found` is called once.
        """

        def closed() -> bool | None:
            return None if self._open_base() else True

        if not closed():
            found()
            self._log.write("the parent of the output commit is open, and the job waits for it")
            over = self._store.database.wait(closed, lambda: not self._stopped, self._seconds_left(None))
            if self._stopped or self._store.database.closed:
                raise Ended
            if not over:
                raise TimedOut

    def _open_base(self) -> bool:
        output = commits.by_id(self._store.read(), self._job.output)
        return commits.open_base(self._store.read(), output) is not None

    def _count_restart(self) -> None:
        with self._store.database.write(durable=False) as txn:
            jobs.count(txn, self._job, restart=self._current(txn).restart + 1)

    def _set_deadline(self) -> None:
        timeout = self._details.job_timeout if has(self._details, "job_timeout") else None
        if timeout and self._deadline is None:
            self._deadline = time.monotonic() + timeout.total_seconds()

    def _erase(self) -> None:
        with self._store.database.write(durable=False) as txn:
            for type_ in ("user", "meta"):
                repo = repos.get_repo(txn.db, RepoKey(self._job.key.project, self._job.key.pipeline, type_))
                commit = commits.find(txn.db, repo.id, self._job.key.id)
                if commit is not None and commit.finishing is None:
                    commits.clear(txn, commit, base=False)

    def _run_datums(self) -> None:
        planned = list(datums.plan(self._store, self._job, self._details.input))
        self._store_datums(planned)
        fileset = new_id()
        recovered = 0
        for done, datum in enumerate(planned):
            state = self._datum(datum, fileset)
            self._count(datum, state, processed=done + 1 - recovered, recovered=recovered)
            if state == pps.DatumState.FAILED:
                self._finish(State.JOB_FAILURE, f"datum {datum.id} failed")
                return
            recovered += state == pps.DatumState.RECOVERED
        if self._pending_fault is not None:
            lost, self._pending_fault = self._pending_fault, None
            raise lost
        self._set_state(State.JOB_FINISHING)
        self._wait_for_base()
        self._finish(State.JOB_SUCCESS)

    def _store_datums(self, planned: list[Datum]) -> None:
        with self._store.database.write(durable=False) as txn:
            self._current(txn)
            jobs.count(txn, self._job, total=len(planned), processed=0, failed=0, recovered=0)
            txn.db.execute("DELETE FROM datums WHERE job = ?", (self._job.seq,))
            starting = pps.DatumState.STARTING
            rows = ((self._job.seq, one.id, at, starting, one.stored()) for at, one in enumerate(planned))
            txn.db.executemany("INSERT OR IGNORE INTO datums VALUES (?, ?, ?, ?, ?)", rows)

    def _count(self, datum: Datum, state: int, processed: int, recovered: int) -> None:
        failed = state == pps.DatumState.FAILED
        recovers = state == pps.DatumState.RECOVERED
        with self._store.database.write(durable=False) as txn:
            self._current(txn)
            query = "UPDATE datums SET state = ? WHERE job = ? AND id = ?"
            txn.db.execute(query, (state, self._job.seq, datum.id))
            good = processed - failed - recovers
            jobs.count(txn, self._job, processed=good, failed=int(failed), recovered=recovered + recovers)

    def _datum(self, datum: Datum, fileset: str) -> pps.DatumState:
        """Runs a datum, with all its tries; returns its state."""
        transform = self._details.transform
        for attempt in range(max(1, self._details.datum_tries)):
            if attempt:
                self._log.write(f"datum {datum.id}: try {attempt + 1}", datum=datum.id)
            if self._try(datum, fileset, transform.cmd, transform.stdin):
                return pps.DatumState.SUCCESS
        if transform.err_cmd and self._try(datum, fileset, transform.err_cmd, transform.err_stdin):
            return pps.DatumState.RECOVERED
        return pps.DatumState.FAILED

    def _try(self, datum: Datum, fileset: str, words: list[str], stdin: list[str]) -> bool:
        if not words:
            raise Refused("invalid pipeline transform, no command specified")
        pfs = self._folder / "pfs"
        datums.lay_out(self._store, datum, pfs)
        ports = self._ports()
        env = environment.user_code(self._job, self._spec_commit, self._details, datum, pfs, ports, fileset)
        env[usercode.MARK] = str(self._store.folder)
        # Set before the process starts: clients must not find user code that `worker_status` does not show.
        self.working = Working(datum, now(), ports)
        try:
            code = self._execute(words, stdin, env, datum)
        finally:
            self.working = None
        if code != 0 and code not in self._details.transform.accept_return_code:
            self._log.write(f"datum {datum.id}: user code ended with {code}", datum=datum.id)
            return False
        if not self._details.s3_out:
            datums.upload(self._store, commits.by_id(self._store.read(), self._job.output), pfs / "out")
        return True

    def _execute(self, words: list[str], stdin: list[str], env: dict[str, str], datum: Datum) -> int:
        folder = Path(self._details.transform.working_dir or self._folder)
        self._store.database.wake()
        try:
            process = UserCode(
                words, stdin, env, folder, self._log, datum.id, lambda code: self._signals.put(("exit", code))
            )
        except OSError as error:
            self._log.write(f"user code can't be started: {error}", datum=datum.id)
            return 127
        return self._watch(process)

    def _watch(self, process: UserCode) -> int:
        """Waits for user code; returns its exit code.

        A timeout, the job's end or a new worker kills user code. When it is gone, a timeout of the datum
        returns -9; all others are raised.
        """
        limit = self._details.datum_timeout if has(self._details, "datum_timeout") else timedelta(0)
        datum_end = time.monotonic() + limit.total_seconds() if limit else None
        verdict: Exception | None = None
        while True:
            try:
                kind, code = self._signals.get(timeout=None if verdict else self._seconds_left(datum_end))
            except Empty:
                job_over = self._deadline is not None and time.monotonic() >= self._deadline
                verdict = TimedOut() if job_over else Refused("datum timed out")
                process.kill()
                continue
            if kind == "exit":
                return self._outcome(verdict, code)
            verdict = Ended() if kind == "end" else Replaced()
            process.kill()

    def _seconds_left(self, datum_end: float | None) -> float | None:
        ends = [one for one in (datum_end, self._deadline) if one is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _outcome(self, verdict: Exception | None, code: int) -> int:
        if isinstance(verdict, Refused):
            self._log.write(verdict.text)
            return -9
        if verdict is not None:
            raise verdict
        return code

    def _open_sidecar(self) -> Sidecar:
        if self._sidecar is None:
            self._sidecar = Sidecar(self._store, self._job, self._details, self._services, self._host)
        return self._sidecar

    def _ports(self) -> environment.Ports:
        sidecar = self._open_sidecar()
        return environment.Ports(self._host, _free_port(self._host), sidecar.s3_port, sidecar.grpc_port)

    def _close_sidecar(self) -> None:
        if self._sidecar is not None:
            # Nothing waits for this sidecar to close: the next job has its own.
            threading.Thread(target=self._sidecar.close, name="sidecar-close", daemon=True).start()

    def _set_state(self, state: int) -> None:
        with self._store.database.write(durable=False) as txn:
            self._current(txn)
            if self._stopped:
                raise Ended
            jobs.set_state(txn, self._job, state)

    def _finish(self, state: int, reason: str = "") -> None:
        with self._store.database.write() as txn:
            self._current(txn)
            jobs.end(txn, self._job, state, reason)

    def _current(self, txn: Txn) -> Job:
        """The job as it is, if it may still be changed (src/internal/ppsutil/util.go, UpdateJobState).

        Raises:
            Ended: the job is terminal or deleted.
        """
        current = jobs.find(txn.db, self._job.key)
        if current is None or current.terminal:
            raise Ended
        return current


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port
