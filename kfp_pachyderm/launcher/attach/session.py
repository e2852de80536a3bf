"""The step's session with its job's holder: attach, keep the lease, follow to a successor, finish."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from kfp_pachyderm.errors import (
    AttachError,
    HolderReplacedError,
    JobFailedError,
    LeaseLostError,
    NotFoundError,
    PachydermError,
    PachydermUnreachableError,
    TemporaryError,
    UnknownAnswerError,
)
from kfp_pachyderm.launcher.attach.holder_client import HolderClient, HolderStatus
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.polling import looks
from kfp_pachyderm.pachd.connection.texts import brief
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.locator import Places, locate

#: The most seconds for one call to the holder or to pachd.
_CALL = 3.0
#: The token with auth off (Pachyderm src/server/worker/driver/driver.go, UserCodeEnv).
_NO_TOKEN = "default"  # noqa: S105


class Session:
    """One step's hold on its job. A context manager: leaving it ends the heartbeat, not the job.

    Args:
        pachd: the connection.
        job: the job.
        lease: seconds after which a silent step has lost its job.
        tell: takes one line for the user.
        on_problem: called from the heartbeat's thread when the job can't be saved any more.
        on_move: called with the job's new addresses when a successor is attached.
    """

    def __init__(
        self,
        pachd: Pachd,
        job: ClaimedJob,
        lease: float,
        tell: Callable[[str], None],
        on_problem: Callable[[], None],
        on_move: Callable[[Places], None],
    ) -> None:
        self._patient, self._pachd = pachd, pachd.patient(min(_CALL, lease))
        self._job, self._lease = job, lease
        self._call = min(_CALL, lease / 3)
        self._tell, self._on_problem, self._on_move = tell, on_problem, on_move
        self._name = os.urandom(16).hex()
        self._client: HolderClient | None = None
        self._status: HolderStatus | None = None
        self._missed = "its address is not known"
        self._quiet = threading.Event()
        self._abandoned = False
        self._beats: threading.Thread | None = None
        self._changing = threading.Lock()
        self.token = ""
        self.places: Places | None = None
        self.generation = 0
        self.ended = False
        self.problem: PachydermError | None = None

    @property
    def datum(self) -> str:
        """The datum that the attached holder was started for."""
        return self._status.datum if self._status else ""

    @property
    def files(self) -> dict[str, str]:
        """Input → path below /pfs of what the datum holds of it."""
        return self._status.files if self._status else {}

    def attach(self, deadline: float) -> None:
        """Waits until the job's user code runs, finds its holder and takes the lease.

        Raises:
            AttachError: the deadline passed.
            JobFailedError, JobLostError, EmptyInputError: the job ended before.
            PachydermUnreachableError: pachd was away longer than the connection's grace.
        """
        while True:
            info = jobs.wait_for_datum(self._patient, self._job, deadline, self._tell)
            self.token = info.auth_token
            try:
                self._attach_soon(min(deadline, time.monotonic() + 10.0))
                break
            except PachydermUnreachableError:
                raise  # The connection has waited its grace already.
            except (TemporaryError, NotFoundError) as error:
                if time.monotonic() >= deadline:
                    raise AttachError(f"job {self._job.output}: {error}") from error
        self.start_beating()

    def _attach_soon(self, until: float) -> None:
        # The datum has started, but its holder may not listen yet: for milliseconds, or a few seconds.
        for found in looks(self._pachd, self._attach_or_why_not, until, self._tell, 0.5):
            if isinstance(found, TemporaryError):
                raise found
            if found:
                return
        raise AttachError(
            f"its user code has started, but no holder answers for it: {self._missed}; see what that says: "
            f"pachctl logs --project {self._job.project} --job {self._job.pipeline}@{self._job.id}"
        )

    def _attach_or_why_not(self) -> bool | TemporaryError:
        """As `_attach_once`, but returns a holder's refusal: `looks` would bear an exception as pachd's."""
        try:
            return self._attach_once()
        except (AttachError, LeaseLostError, HolderReplacedError) as error:
            return error

    def _attach_once(self) -> bool:
        """Attaches to a holder instance of our job that is not the one we had; False when there is none."""
        places = locate(self._pachd, self._job)
        client = HolderClient(places.holder, self.token or _NO_TOKEN)
        try:
            status = client.status(self._call)
        except AttachError as error:
            self._missed = str(error)
            return False
        # The name of a queued job resolves to the job before it. A finished holder is about to exit.
        known = self._status is not None and status.instance == self._status.instance
        if status.job != self._job.id or known or status.state == "finished":
            self._missed = f"the holder at {places.holder} is of job {status.job}, and {status.state}"
            return False
        call = {"instance": status.instance, "session": self._name, "job": self._job.id}
        client.post("attach", call, self._call)
        if self.generation:
            # First the adapter's addresses: a new generation makes the delivery send everything again.
            self._on_move(places)
        with self._changing:
            self._client, self._status, self.places = client, status, places
            self.generation += 1
        return True

    def _beat(self) -> None:
        while not self._quiet.wait(self._lease / 3) and not self._abandoned:
            try:
                self._post("heartbeat", self._call)
            except LeaseLostError as error:
                self.give_up(error)
            except PachydermError as error:
                self._follow(error)

    def recover(self, why: PachydermError, deadline: float) -> None:
        """After a failed delivery: follows Pachyderm to the holder's successor, if there is one."""
        self.stop_beating()
        if self.problem is not None:
            # The heartbeat has looked for a successor in vain, and ended the delivery.
            return
        self._quiet.clear()
        self._follow(why, deadline)
        if self.problem is None:
            self.start_beating()

    def _follow(self, why: PachydermError, deadline: float = float("inf")) -> None:
        """After a failed heartbeat: back to the holder, on to its successor, or to the end of the job."""
        gone, told = time.monotonic() + self._pachd.grace, set[str]()
        while not self._is_over and time.monotonic() < deadline:
            try:
                self._require_unfinished()
                gone = time.monotonic() + self._pachd.grace
                if self._attach_once():
                    self._tell(f"job {self._job.id} was started again by Pachyderm ({why}); following it")
                else:
                    self._post("heartbeat", self._call)
                return
            except (LeaseLostError, JobFailedError) as error:
                self.give_up(error)
                return
            except (TemporaryError, NotFoundError, UnknownAnswerError) as error:
                if time.monotonic() >= gone:
                    self.give_up(error)
                elif isinstance(error, UnknownAnswerError) and str(error) not in told:
                    told.add(str(error))
                    self._tell(f"{error}; trying again for {self._pachd.grace:g} s")
                self._quiet.wait(0.5)  # Between two workers nothing answers.
            except PachydermError as error:
                self.give_up(error)
                return

    @property
    def _is_over(self) -> bool:
        return self._abandoned or self._quiet.is_set()

    def _require_unfinished(self) -> None:
        info = jobs.inspect(self._pachd, self._job)
        if jobs.is_over(info):
            raise jobs.failed(self._job, info)

    def give_up(self, error: PachydermError) -> None:
        """Ends the step because its job is lost; does nothing when the heartbeat has ended already."""
        if not self._is_over:
            self._quiet.set()
            self.problem = error
            self._on_problem()

    def raise_problem(self) -> None:
        """Raises the error by which the job was lost, if it was."""
        if self.problem:
            raise self.problem

    def _post(self, action: str, timeout: float, **fields: object) -> None:
        client, status = self._client, self._status
        if client is None or status is None:
            raise AttachError("not attached")
        client.post(action, {"instance": status.instance, "session": self._name, **fields}, timeout)

    def stop_beating(self) -> None:
        """Ends the heartbeat, so that from here on only the caller attaches to holders."""
        self._quiet.set()
        if self._beats is not None:
            self._beats.join()

    def start_beating(self) -> None:
        """Begins, or begins again, to keep the lease."""
        self._quiet.clear()
        self._beats = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._beats.start()

    def finish(self, code: int, reason: str) -> None:
        """Tells the holder how the step ended.

        Raises:
            AttachError: nobody answers; the holder may have got the call all the same.
            HolderReplacedError: a successor answers.
        """
        self._quiet.set()
        self._post_finish(code, reason, self._call)

    def _post_finish(self, code: int, reason: str, timeout: float) -> None:
        self._post("finish", timeout, exit_code=code, reason=brief(reason))
        self.ended = True

    def abandon(self, code: int, reason: str) -> bool:
        """Tells the holder within 0.8 s, for signal handlers; returns whether it answered with success."""
        # A flag, no Event: the thread that the signal handler interrupts may hold the Event's lock.
        self._abandoned = True
        try:
            self._post_finish(code, reason, 0.8)
        except PachydermError:
            return False
        return True

    def tell_end(self, code: int, reason: str) -> bool:
        """As `finish`, but returns False when nobody answers: the caller has to tell it again."""
        try:
            self.finish(code, reason)
        except (LeaseLostError, HolderReplacedError):
            return True  # The holder knows already, or the caller looks for its successor.
        except AttachError:
            return False
        return True

    def next_holder(self) -> bool:
        """After a finish: attaches to another holder of the job, if Pachyderm has started one."""
        try:
            found = self._attach_once()
        except (TemporaryError, NotFoundError, UnknownAnswerError):
            return False
        if found:
            self.start_beating()
        return found

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._quiet.set()
