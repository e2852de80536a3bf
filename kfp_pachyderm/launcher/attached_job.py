"""The second half of a step: takes a job that exists to its record, or ends it as failed."""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from kfp_pachyderm.errors import JobLostError, PachydermError, PermanentError
from kfp_pachyderm.launcher.attach.session import Session
from kfp_pachyderm.launcher.background import beside
from kfp_pachyderm.launcher.child.signals import Interrupted, Signals
from kfp_pachyderm.launcher.claim.open_job import Opened, withdraw
from kfp_pachyderm.launcher.datums import ChildFailed, Datums
from kfp_pachyderm.launcher.executor_input import Execution
from kfp_pachyderm.launcher.gateway.endpoint import DirectGateway, Gateway, sidecar_endpoint, start_adapter
from kfp_pachyderm.launcher.quiet import quieted
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs.locator import Places

if TYPE_CHECKING:
    from kfp_pachyderm.adapter.control.process import AdapterProcess
    from kfp_pachyderm.provenance.record import StepRecord

#: Seconds that a failing step waits for the record that the opening writes (`Opened.signed`).
_SIGNED = 2.0
#: What nothing before the end needs.
_FOR_THE_END = ("kfp_pachyderm.launcher.progress", "kfp_pachyderm.launcher.record.final")


class Attached:
    """A step whose job exists: from here on every way out ends the job.

    Args:
        pachd: the connection.
        opened: the step and its job.
        execution: KFP's executor input.
        signals: the signal handlers, already installed.
        adapter: the started adapter; None with gateway="direct".
        folder: a private folder of the step.
        timeout: seconds for each wait on Pachyderm.
    """

    def __init__(
        self,
        pachd: Pachd,
        opened: Opened,
        execution: Execution,
        signals: Signals,
        adapter: AdapterProcess | None,
        folder: Path,
        timeout: float,
    ) -> None:
        self._pachd, self._opened, self._execution = pachd, opened, execution
        self._signals, self._adapter, self._folder, self._timeout = signals, adapter, folder, timeout
        #: Whether the job was attached, so that user code may have begun.
        self.begun = False
        #: The step's record, once the step has succeeded; `failure` says why the command failed.
        self.record: StepRecord | None = None
        self._behind: Future[list[str]] | None = None
        self.failure = ""

    def run(self, command: list[str]) -> int:
        """Runs the command on every datum and ends the job; returns the command's exit code."""
        lease = self._opened.config.holder.lease
        with Session(self._pachd, self._opened.job, lease, say, self._give_up, self._move) as session:
            try:
                self._attach(session)
                self._work(session, command)
                return 0
            except ChildFailed as failed:
                self._fail(session, failed.code, str(failed))
                say(f"{failed}, and its job failed; {self._look_further()}")
                self.failure = str(failed)
                return failed.code
            except BaseException as error:
                self._fail(session, *_reason(error))
                if self.begun and isinstance(error, PachydermError):
                    say(self._look_further())
                raise

    def _look_further(self) -> str:
        from kfp_pachyderm.launcher.record.final import look_further

        return look_further(self._opened.job.output)

    def _attach(self, session: Session) -> None:
        try:
            session.attach(time.monotonic() + self._timeout)
        except PermanentError:
            # A job of a spec that another step made may see no input, or can't run: that is not this step's.
            lost = self._opened.signed.exception()
            if isinstance(lost, JobLostError):
                raise lost from None
            raise
        self._signals.session = session
        # The commit has its first record before user code runs, so a failed step's commit has one, too.
        self._opened.signed.result()
        # before it, a lost job leaves the adapter to the next one; after it, `_give_up` ends the adapter
        self.begun = True
        if session.problem:
            self.begun = False
        session.raise_problem()

    def _move(self, places: Places) -> None:
        if self._adapter:
            self._adapter.move(places.sidecar_grpc, places.sidecar_s3)

    def _give_up(self) -> None:
        """Ends the child, else the adapter: the job is lost, and nothing that they send can be kept."""
        if self._signals.child:
            self._signals.end_child()
        elif self._adapter and self.begun:
            self._adapter.kill()

    def _work(self, session: Session, command: list[str]) -> None:
        gateway = self._gateway(session)
        datums = Datums(
            self._pachd,
            self._opened,
            session,
            gateway,
            self._signals,
            quieted(command),
            self._folder,
            self._timeout,
            self._prepare_the_end,
        )
        info = datums.run()
        if self._adapter:
            self._adapter.dismiss()
        from kfp_pachyderm.launcher.record.final import write_record  # loaded while the child ran

        self._signals.session = None
        sidecar = session.places.recorded if session.places else ""
        record = self._opened.signed.result()
        self.record = write_record(
            self._pachd, record, self._execution, info, sidecar, gateway.objects, self._behind
        )

    def _prepare_the_end(self) -> None:
        """While the child runs: loads what the end needs, and asks what the inputs were made from."""
        if self._behind is None:
            for one in _FOR_THE_END:
                import_module(one)
            from kfp_pachyderm.provenance.inputs_tree import inputs_tree

            record = self._opened.signed.result()
            self._behind = beside(lambda: inputs_tree(self._pachd, record))

    def _gateway(self, session: Session) -> Gateway:
        assert session.places
        endpoint = sidecar_endpoint(self._pachd, self._opened, session.places)
        if self._adapter is None:
            return DirectGateway(endpoint, session.token)
        spool = self._folder / "spool"
        gateway = start_adapter(
            self._adapter, self._pachd, self._opened, session.places, session.token, spool, self._timeout
        )
        # A dead adapter takes the written objects with it. The command would only see refused connections.
        self._adapter.when_ended(session.give_up)
        return gateway

    def _fail(self, session: Session, code: int, reason: str) -> None:
        """Ends the job as failed: through its holder if one is attached, else through pachd."""
        told = self._signals.received is not None and session.ended
        if session.generation and not told:
            session.stop_beating()
            told = session.abandon(code, reason)
        if told or withdraw(self._pachd, self._opened.job, reason):
            from kfp_pachyderm.launcher.record.final import write_failure

            record, state = self._signed(), "FAILURE" if told else "KILLED"
            write_failure(self._pachd, self._opened.job.output, record, state, reason)

    def _signed(self) -> StepRecord | None:
        """The record that the opening writes, waited for so that it is not written last; None without one."""
        signed = self._opened.signed
        wait([signed], _SIGNED)
        return signed.result() if signed.done() and not signed.exception() else None


def _reason(error: BaseException) -> tuple[int, str]:
    if isinstance(error, Interrupted):
        return 128 + error.number, f"the step got {error}"
    if isinstance(error, PachydermError):
        return 1, str(error)
    return 1, f"the launcher failed: {type(error).__name__}: {error}"
