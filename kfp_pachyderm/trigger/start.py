"""Starts the run of a commit once, though KFP's CreateRun has no idempotency key.

A process first makes a claim on the commit; one process only can make it, and it is valid for its lease. A
run's name holds the trigger and the commit. The process that holds the claim looks for a run of this name,
and starts one if there is none. If that process is killed, its claim stays. The next process waits until the
lease is over. It counts the lease by its own clock, from when it first saw the claim, so that clocks need not
agree. By then KFP has carried the dead process's request out or never will, and the search by name finds the
run.

One case remains: KFP carries a request out later than the lease. A third of the lease is for all work before
the request, a third is for KFP's answer, and a third is spare. So a second run needs a process, a network or
a KFP that stands still for longer. A second run is terminated when it is recorded, or by a search one lease
after another process has taken the claim over.
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

#: Seconds for which a claim is valid; KFP's answer may take a third of them (`kfp_api.ANSWER`).
LEASE = 60.0


@dataclass
class Starter:
    """Starts the runs of one trigger.

    Args:
        pachd: the connection.
        runs: the trigger's runs in KFP.
        trigger: the trigger's name.
        tell: prints a line for the user.
        lease: seconds for which a claim is valid.
    """

    pachd: Pachd
    runs: Runs
    trigger: str
    tell: Callable[[str], None]
    lease: float = field(default_factory=lambda: LEASE)
    _seen: dict[str, tuple[Claim, float]] = field(default_factory=dict)
    _late: dict[str, tuple[str, float]] = field(default_factory=dict)

    def name(self, commit: Reference) -> str:
        """Returns the name of the commit's run."""
        return f"{self.trigger} {commit}"

    def start(self, commit: Reference) -> bool:
        """Starts the commit's run, unless it has one.

        Returns:
            Whether the commit has a run now; False: another process holds a claim, and may start it.

        Raises:
            KfpApiError: KFP does not answer, or refuses the run.
            PachydermError: Pachyderm refuses the claim or the record, or the pipeline can't be used.
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
        # This comes before the claim, so that nothing is written if KFP does not answer.
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
        """Terminates second runs, which a process started after another one had taken its claim over."""
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
        """Returns the ID of the run of this name; starts one if there is none. The caller holds the claim."""
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
