"""Runs user code on a job's datums, with all tries of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import Empty

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.fields import has
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import commits
from kfp_pachyderm.embedded.store.sqlite.database import now
from kfp_pachyderm.embedded.worker import datums, environment, usercode
from kfp_pachyderm.embedded.worker.datums import Datum
from kfp_pachyderm.embedded.worker.run.interrupts import Ended, Replaced, TimedOut
from kfp_pachyderm.embedded.worker.run.running_job import RunningJob
from kfp_pachyderm.embedded.worker.usercode import UserCode


@dataclass(frozen=True)
class Working:
    """The datum that a job works on: its start, and where its user code and sidecar listen."""

    datum: Datum
    started: int
    ports: environment.Ports


class DatumRuns:
    """Runs the datums of one job.

    Args:
        running: the job.
        ports: where the next user code and its sidecar listen.

    Attributes:
        working: the datum that the job works on, for `worker_status` and the locator; None: no datum has
            started.
    """

    def __init__(self, running: RunningJob, ports: Callable[[], environment.Ports]) -> None:
        self._running, self._ports = running, ports
        self._details, self._log = running.details, running.log
        self.working: Working | None = None

    def run(self, datum: Datum, fileset: str) -> pps.DatumState:
        """Runs a datum, with all its tries; returns its state.

        Raises:
            Ended: the job was ended from outside.
            Replaced: the worker was lost.
            TimedOut: the job has reached its timeout.
            Refused: the pipeline has no command.
        """
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
        running, pfs = self._running, self._running.folder / "pfs"
        datums.lay_out(running.store, datum, pfs)
        ports = self._ports()
        env = environment.user_code(
            running.job, running.spec_commit, self._details, datum, pfs, ports, fileset
        )
        env[usercode.MARK] = str(running.store.folder)
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
            output = commits.by_id(running.store.read(), running.job.output)
            datums.upload(running.store, output, pfs / "out")
        return True

    def _execute(self, words: list[str], stdin: list[str], env: dict[str, str], datum: Datum) -> int:
        folder = Path(self._details.transform.working_dir or self._running.folder)
        self._running.store.database.wake()
        signals = self._running.interrupts.signals
        try:
            process = UserCode(
                words, stdin, env, folder, self._log, datum.id, lambda code: signals.put(("exit", code))
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
        interrupts = self._running.interrupts
        limit = self._details.datum_timeout if has(self._details, "datum_timeout") else timedelta(0)
        datum_end = time.monotonic() + limit.total_seconds() if limit else None
        verdict: Exception | None = None
        while True:
            try:
                left = None if verdict else interrupts.seconds_left(datum_end)
                kind, code = interrupts.signals.get(timeout=left)
            except Empty:
                verdict = TimedOut() if interrupts.timed_out else Refused("datum timed out")
                process.kill()
                continue
            if kind == "exit":
                return self._outcome(verdict, code)
            verdict = Ended() if kind == "end" else Replaced()
            process.kill()

    def _outcome(self, verdict: Exception | None, code: int) -> int:
        if isinstance(verdict, Refused):
            self._log.write(verdict.text)
            return -9
        if verdict is not None:
            raise verdict
        return code
