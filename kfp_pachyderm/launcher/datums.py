"""Runs the child once on each datum of an attached job, delivers its output and ends the job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kfp_pachyderm.launcher.attach.session import Session
from kfp_pachyderm.launcher.child.datum_files import lay_out
from kfp_pachyderm.launcher.child.environment import child_environment
from kfp_pachyderm.launcher.child.signals import Signals
from kfp_pachyderm.launcher.claim.open_job import Opened
from kfp_pachyderm.launcher.close.delivery import Delivery
from kfp_pachyderm.launcher.close.job_end import end_job
from kfp_pachyderm.launcher.gateway.endpoint import Gateway
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.sdk import pps
from kfp_pachyderm.runtime import Step


class ChildFailed(Exception):
    """The user's command ended with another exit code than 0."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Datums:
    """The datums of one attached job.

    Args:
        pachd: the connection.
        opened: the step and its job.
        session: the attached session.
        gateway: the child's S3.
        signals: starts the child, and passes signals on to it.
        command: the user's command.
        folder: a private folder of the step.
        timeout: seconds for each of delivering and ending.
        meanwhile: called while the child runs.
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
        meanwhile: Callable[[], None],
    ) -> None:
        self._pachd, self._opened, self._session, self._gateway = pachd, opened, session, gateway
        self._signals, self._command, self._folder, self._timeout = signals, command, folder, timeout
        self._delivery = Delivery(session, gateway, timeout)
        self._meanwhile = meanwhile
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
            self._delivery.deliver()
            if self._session.datum not in self._done:
                self._session.start_beating()
                continue
            info = end_job(self._pachd, self._opened, self._session, self._timeout)
            if info:
                jobs.require_success(self._opened.job, info)
                return info

    def _child(self, datum: str) -> None:
        files = lay_out(self._pachd, self._opened.plan, self._session.files, self._folder / "inputs" / datum)
        self._gateway.open()
        code = self._exit_code(child_environment(self._step(datum, files), self._sidecar(), self._folder))
        # Checked first: a signal ends the adapter as well.
        self._signals.check()
        self._gateway.close()
        self._session.raise_problem()
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
            # The heartbeat ends a running child when the job is lost; this child may have begun after that.
            self._signals.end_child()
        self._meanwhile()
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
