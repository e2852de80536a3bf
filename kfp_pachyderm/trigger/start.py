"""The start of one commit's run: once, though KFP's CreateRun has no key that makes a second call harmless.

A claim on the commit, which one trigger only can make, is valid for its lease; a run has a name that
holds trigger and commit, and is looked for under the claim before it is started. Who was killed in
between leaves a claim: the next one waits until the lease is over, by its own clock from when it saw the
claim, so that no two clocks need to agree. By then the request is done or never will be, and the look
finds what it made.

What is left: a request that reaches KFP, or is worked off by KFP, later than the lease. A third of the
lease is for all before it, a third for its answer, a third is spare; only a process, network or KFP that
stands still for longer makes a second run. That one is seen when it is recorded, or by a look a lease
after another's claim was taken over, and is terminated.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kfp_pachyderm.errors import KfpApiError, PachydermError
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.trigger import marks
from kfp_pachyderm.trigger.marks import Claim, Marks
from kfp_pachyderm.trigger.runs import Prepared, Runs

#: Seconds of a claim; KFP's answer may take a third (`kfp_client.ANSWER`).
LEASE = 60.0


@dataclass
class Starter:
    """Starts runs of one trigger.

    Args:
        pachd: the connection.
        runs: KFP's side.
        trigger: the trigger's name.
        tell: takes one line for the user.
        lease: seconds of a claim.
    """

    pachd: Pachd
    runs: Runs
    trigger: str
    tell: Callable[[str], None]
    lease: float = field(default_factory=lambda: LEASE)
    _seen: dict[str, tuple[Claim, float]] = field(default_factory=dict)
    _late: dict[str, tuple[str, float]] = field(default_factory=dict)

    def name(self, commit: Reference) -> str:
        """What the commit's run is called."""
        return f"{self.trigger} {commit}"

    def start(self, commit: Reference) -> bool:
        """Has the commit's run started, by this process or another one; False: another one may be about to.

        Raises:
            KfpApiError: KFP does not answer, or refuses the run.
            PachydermError: nothing was started; or the pipeline is not what it has to be.
        """
        found = marks.of(self.pachd, commit, self.trigger)
        if found.run:
            return True
        name = self.name(commit)
        known = self.runs.find(name)
        if known:
            self._record(commit, name, known[0], found.last)
            return True
        if not self._is_free(commit, found):
            return False
        # before the claim: nothing of it needs one, and without KFP nothing is written
        prepared, began = self.runs.prepare(str(commit)), time.monotonic()
        claim = Claim(found.last + 1, _this_process(), self.lease)
        if not marks.take(self.pachd, commit, self.trigger, claim):
            return False
        try:
            run = self._started(name, prepared, began)
        except KfpApiError as error:
            self._failed(commit, replace(claim, error=str(error), over=not error.maybe_done))
            raise
        self._record(commit, name, run, claim.number)
        return True

    def look_for_late_ones(self) -> None:
        """Terminates the runs that were started after another one took their claim over."""
        for name, (run, since) in list(self._late.items()):
            if time.monotonic() >= since + self.lease:
                for other in self.runs.find(name):
                    self._end_second(name, run, other)
                del self._late[name]

    def _is_free(self, commit: Reference, found: Marks) -> bool:
        if found.claim is None or found.claim.over:
            return True
        claim, since = self._seen.get(commit.version, (None, 0.0))
        if claim != found.claim:
            since = time.monotonic()
            self._seen[commit.version] = (found.claim, since)
            self.tell(
                f"{commit}: {found.claim.by} has begun to start its run; looking again for "
                f"{found.claim.lease:g} s"
            )
        return time.monotonic() >= since + found.claim.lease

    def _started(self, name: str, prepared: Prepared, began: float) -> str:
        """Under a claim: the run of this name, which is started where there is none."""
        known = self.runs.find(name)
        if known:
            return known[0]
        if time.monotonic() > began + self.lease / 3:
            text = f"{name}: to claim the commit took longer than {self.lease / 3:g} s"
            raise KfpApiError(f"{text}; Pachyderm or KFP is slow", maybe_done=False)
        return self.runs.start(name, prepared)

    def _failed(self, commit: Reference, claim: Claim) -> None:
        try:
            marks.fail(self.pachd, commit, self.trigger, claim)
        except PachydermError as error:
            self.tell(f"{commit}: {error}")

    def _record(self, commit: Reference, name: str, run: str, last: int) -> None:
        recorded = marks.record(self.pachd, commit, self.trigger, run, last)
        self._seen.pop(commit.version, None)
        self.tell(f"{commit}: run {recorded} of KFP")
        self._end_second(name, recorded, run)
        if last > 1:
            self._late[name] = recorded, time.monotonic()

    def _end_second(self, name: str, run: str, other: str) -> None:
        if other != run:
            self.tell(f"{name}: run {other} is a second one beside {run}, and is terminated")
            self.runs.terminate(other)


def _this_process() -> str:
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(8)}"
