"""The second half of a step's life: the child on every datum, everything delivered, the job ended well."""

from __future__ import annotations

import time
from pathlib import Path

from kfp_pachyderm.errors import (
    CommitNotFinishedError,
    PachydermError,
    PachydermUnreachableError,
    TemporaryError,
)
from kfp_pachyderm.launcher.attach.session import Session
from kfp_pachyderm.launcher.child.datum_files import lay_out
from kfp_pachyderm.launcher.child.environment import child_environment
from kfp_pachyderm.launcher.child.signals import Signals
from kfp_pachyderm.launcher.claim.open_job import Opened
from kfp_pachyderm.launcher.gateway.endpoint import Gateway
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.sdk import pps
from kfp_pachyderm.runtime import Step

#: Seconds between looks for another holder after one has been told the end: of a restart, of the next datum.
_LOOK_FOR_RESTART, _LOOK_FOR_DATUM = 1.0, 0.05


class ChildFailed(Exception):
    """The user's command ended with another exit code than 0."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Work:
    """One attached step.

    Args:
        pachd: the connection.
        opened: the step and its job.
        session: the attached session.
        gateway: the child's S3.
        signals: told of the child.
        command: the user's command.
        folder: a private folder of the step.
        timeout: seconds for each of delivering and ending.
    """

    def __init__(
        self,
        pachd: Pachd,
        opened: Opened,
        session: Session,
        gateway: Gateway,
        signals: Signals,
        command: list[str],
        folder: Path,
        timeout: float,
    ) -> None:
        self._pachd, self._opened, self._session, self._gateway = pachd, opened, session, gateway
        self._signals, self._command, self._folder, self._timeout = signals, command, folder, timeout
        self._generation = session.generation
        self._done: set[str] = set()

    def run(self) -> pps.JobInfo:
        """Runs the child once for each datum and ends the job.

        Pachyderm may start the job again at any time, also after the last datum: then a new holder asks for a
        datum that is done, gets everything sent again, and the child does not run a second time.

        Returns:
            The job, ended with SUCCESS.

        Raises:
            ChildFailed: the command failed.
            PachydermError: the job can't be saved, or ended otherwise than with SUCCESS.
        """
        while True:
            datum = self._session.datum
            if datum not in self._done:
                self._child(datum)
                self._done.add(datum)
            self._deliver()
            if self._session.datum not in self._done:
                self._session.start_beating()
                continue
            deadline = time.monotonic() + self._timeout
            info = self._ended(deadline)
            if info:
                jobs.require_success(self._opened.job, info)
                return info

    def _child(self, datum: str) -> None:
        files = lay_out(self._pachd, self._opened.plan, self._session.files, self._folder / "inputs" / datum)
        self._gateway.open()
        code = self._exit_code(child_environment(self._step(datum, files), self._sidecar(), self._folder))
        # a signal ends the adapter, too
        self._signals.check()
        self._gateway.close()
        self._raise_problem()
        if code:
            raise ChildFailed(code, f"the step's command ended with exit code {code}")

    def _exit_code(self, env: dict[str, str]) -> int:
        try:
            child = self._signals.start(self._command, env)
        except OSError as error:
            self._signals.check()
            code = 127 if isinstance(error, FileNotFoundError) else 126
            raise ChildFailed(code, f"the step's command can't be started: {error}") from error
        if self._session.problem:
            # whoever met it may have found no child to end yet
            self._signals.end_child()
        code = child.wait()
        self._signals.child = None
        return code

    def _step(self, datum: str, files: str) -> Step:
        opened, gateway = self._opened, self._gateway
        return Step(
            endpoint=gateway.endpoint,
            access_key=gateway.access_key,
            secret_key=gateway.secret_key,
            inputs={
                name: shown for one in opened.sources if one.config.s3 for name, shown in one.shown.items()
            },
            output_bucket="out" if opened.config.s3_out else None,
            output_commit=str(opened.job.output),
            project=opened.job.project,
            pipeline=opened.job.pipeline,
            job=opened.job.id,
            datum=datum,
            files=files,
        )

    def _sidecar(self) -> str:
        return self._session.places.sidecar_s3 if self._session.places else ""

    def _deliver(self) -> None:
        """Leaves with everything in the attached holder's commit, and with the heartbeat stopped."""
        while True:
            generation = self._session.generation
            again = generation != self._generation
            try:
                self._gateway.deliver(again, self._timeout)
            except TemporaryError as error:
                self._session.recover(error, time.monotonic() + self._timeout)
                self._raise_problem()
                if self._session.generation == generation:
                    raise
                continue
            self._session.stop_beating()
            self._raise_problem()
            self._generation = generation
            if self._session.generation == generation:
                return
            self._session.start_beating()

    def _raise_problem(self) -> None:
        problem: PachydermError | None = self._session.problem
        if problem:
            raise problem

    def _ended(self, deadline: float) -> pps.JobInfo | None:
        """The ended job; None when Pachyderm has started another holder for it, which is attached now."""
        only_s3 = all(one.s3 for one in self._opened.plan.inputs)
        pause = _LOOK_FOR_RESTART if only_s3 else _LOOK_FOR_DATUM
        told, look = self._session.tell_end(0, "the step succeeded"), time.monotonic() + pause
        try:
            for info in jobs.watch(self._pachd, self._opened.job, deadline, say):
                if jobs.is_over(info):
                    return info
                told = told or self._session.tell_end(0, "the step succeeded")
                if time.monotonic() >= look:
                    if self._session.next_holder():
                        return None
                    look = time.monotonic() + pause
        except PachydermUnreachableError as error:
            raise PachydermUnreachableError(
                f"the step succeeded and its job {self._opened.job.output} was told so, but pachd "
                f"does not say whether that succeeded too: {error}"
            ) from error
        raise CommitNotFinishedError(f"job {self._opened.job.output} did not end within {self._timeout:g} s")
