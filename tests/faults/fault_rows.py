"""The table of faults: what is broken when, and what has to come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import libfaketime

from tests.faults.fault_trial import BEFORE, LEASE, RUNNING, TOLD, WRITING, WRITTEN, Trial

#: Seconds of a cut that is longer than the lease, and shorter than the launcher's patience with pachd.
LONG = LEASE + 0.2
Inject = Callable[[Trial], None]
SERVER_LEASE = 30.0
#: pachd can't be reached: gRPC says which only if it has found out before the call's deadline.
GONE = "UNAVAILABLE|DEADLINE_EXCEEDED"


@dataclass(frozen=True)
class Row:
    """One fault and its outcome.

    Args:
        fault: what is broken.
        when: at which moment of the step.
        inject: breaks it, or prepares that.
        step: the exit code, or several.
        jobs: the states of the step's jobs.
        output: of the last job.
        message: what the user reads last, as a regular expression.
        own_server: whether it takes the server along.
        slow: run with KFP_PACHYDERM_TEST_ALL only.
        lease: the holder's, in seconds.
    """

    fault: str
    when: str
    inject: Inject
    step: str = "0"
    jobs: str = "SUCCESS"
    output: str = "whole"
    message: str = r"job … SUCCESS: 3.1 MiB in …; look further: kfp-pachyderm lineage edges@…"
    own_server: bool = False
    slow: bool = False
    lease: float = LEASE

    def __str__(self) -> str:
        return f"{self.fault}, {self.when}"


def _failed(fault: str, when: str, inject: Inject, message: str, step: str = "1", **more: object) -> Row:
    return Row(fault, when, inject, step, "FAILURE", "failed", message, **more)  # type: ignore[arg-type]


def _kills() -> list[Row]:
    lost = r"holder: lease lost: the step sent no heartbeat for 4 s"
    launcher, holder = "SIGKILL of the launcher", "SIGKILL of the holder"
    kill = Trial.kill_launcher
    ended = r"job edges@… ended as FAILURE: datum … failed"

    def adapter_killed(when: str) -> Row:
        message = "adapter .* ended with exit code -9"
        return _failed("SIGKILL of the adapter", when, lambda t: t.at(when, t.kill_adapter), message)

    return [
        _failed(
            launcher,
            BEFORE,
            lambda t: t.at(BEFORE, t.kill_launcher),
            "holder: no step attached within 8 s",
            "137",
        ),
        _failed(launcher, RUNNING, lambda t: t.at(RUNNING, t.kill_launcher), lost, "137"),
        _failed(launcher, WRITING, lambda t: t.at(WRITING, lambda: kill(t)), lost, "137"),
        Row(
            launcher,
            TOLD,
            Trial.kill_launcher_when_told,
            "137",
            message="the step succeeded",
        ),
        _failed(
            "SIGKILL of the command",
            RUNNING,
            lambda t: t.at(RUNNING, t.kill_child),
            "ended with exit code 137",
            "137",
        ),
        *(adapter_killed(when) for when in (BEFORE, RUNNING, WRITING)),
        Row(holder, BEFORE, lambda t: t.at(BEFORE, t.kill_holder), jobs="FAILURE, SUCCESS"),
        _failed(holder, RUNNING, lambda t: t.at(RUNNING, t.kill_holder), ended),
        _failed(holder, WRITING, lambda t: t.at(WRITING, t.kill_holder), ended),
    ]


def _losses() -> list[Row]:
    """The worker, its sidecar, the server: Pachyderm starts the job again, the step follows."""
    worker, sidecar = "SIGKILL of the worker, which is replaced", "SIGKILL of the sidecar, back after 1 s"
    server = "SIGKILL of the server, back after 1 s"

    def replace(when: str) -> Row:
        return Row(worker, when, lambda t: t.at(when, lambda: t.fault("ReplaceWorker")))

    def sidecar_lost(when: str) -> Row:
        return Row(sidecar, when, lambda t: t.at(when, lambda: t.fault("KillSidecar", seconds=1)))

    def server_lost(when: str) -> Row:
        def inject(trial: Trial) -> None:
            # The server is away for as long as it takes to start, which is longer on a busy machine.
            trial.lease = SERVER_LEASE
            trial.at(when, lambda: trial.kill_server(1))

        return Row(server, when, inject, own_server=True, lease=SERVER_LEASE)

    def server_lost_for_ever(when: str) -> Row:
        def inject(trial: Trial) -> None:
            trial.at(when, lambda: trial.kill_server(None))

        return _failed("SIGKILL of the server, for ever", when, inject, GONE, own_server=True)

    at_the_end = "ReplaceWorkerAtTheEnd"
    return [
        *(replace(when) for when in (BEFORE, RUNNING, WRITING, WRITTEN)),
        Row(worker, TOLD, lambda t: t.at(TOLD, lambda: t.fault(at_the_end))),
        *(sidecar_lost(when) for when in (BEFORE, RUNNING, WRITING, WRITTEN)),
        *(server_lost(when) for when in (BEFORE, RUNNING, WRITING, WRITTEN)),
        *(server_lost_for_ever(when) for when in (BEFORE, RUNNING)),
    ]


def _cut(
    pair: str, link: str, name: str, seconds: float | None, when: str = RUNNING, **outcome: object
) -> Row:
    def inject(trial: Trial) -> None:
        if seconds == 30.0:
            trial.lease = 30.0
        trial.at(when, lambda: trial.links[link].cut(seconds))

    more = {"slow": True, "lease": 30.0, **outcome} if seconds == 30.0 else outcome
    return Row(f"network cut between {pair}, {name}", when, inject, **more)  # type: ignore[arg-type]


def _cuts() -> list[Row]:
    pachd, holder, sidecar = "launcher and pachd", "launcher and holder", "adapter and sidecar"
    once, long = "1 s", "longer than the lease"
    failed = {"step": "1", "jobs": "FAILURE", "output": "failed"}
    lost = "ended as FAILURE: datum … failed; its holder was killed, or heard nothing"
    return [
        _cut(pachd, "pachd", once, 1.0),
        _cut(pachd, "pachd", once, 1.0, BEFORE),
        _cut(pachd, "pachd", long, LONG),
        _cut(pachd, "pachd", "30 s, lease 30 s", 30.0),
        _cut(pachd, "pachd", "for ever", None, step="1", message="was told so, but pachd does not say"),
        _cut(pachd, "pachd", "for ever", None, BEFORE, **failed, message=GONE),
        _cut(holder, "holder", once, 1.0),
        _failed(
            f"network cut between {holder}, {long}",
            RUNNING,
            lambda t: t.at(RUNNING, t.cut_off_holder),
            lost,
        ),
        _cut(holder, "holder", "30 s, lease 30 s", 30.0, **failed, message=lost),
        _cut(holder, "holder", "for ever", None, **failed, message=lost),
        _cut(sidecar, "sidecar_grpc", once, 1.0),
        _cut(sidecar, "sidecar_grpc", once, 1.0, WRITING),
        _cut(sidecar, "sidecar_grpc", long, LONG),
        _cut(sidecar, "sidecar_grpc", "30 s, lease 30 s", 30.0),
        _cut(sidecar, "sidecar_grpc", "for ever", None),
    ]


def _slow(trial: Trial) -> None:
    trial.faulty.delay = 0.3


def _lose(trial: Trial) -> None:
    # False: pachd fails the call; True: only its answer is lost
    trial.faulty.lose("CreateBranch", [False])
    trial.faulty.lose("FinishTransaction", [False, False])


def _lose_answer(trial: Trial) -> None:
    trial.faulty.lose("FinishTransaction", [True])


def _skew(offset: str) -> Inject:
    library = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"

    def inject(trial: Trial) -> None:
        # It is not the lease that is looked at, which a busy machine lets run out.
        trial.lease = SERVER_LEASE
        # Of all processes of the step's container; not of Pachyderm's.
        trial.env |= {"LD_PRELOAD": str(library), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}

    return inject


def _others() -> list[Row]:
    always = "all the time"

    def attempts(trial: Trial) -> None:
        trial.runner = trial.runner.iteration("salt")
        trial.at(RUNNING, trial.second_attempt)

    lost = "(ended as FAILURE: datum … failed|refuses \\(410\\): finished)"
    return [
        Row("pachd slow, 0.3 s a call", always, _slow),
        Row("transactions that fail", BEFORE, _lose),
        Row("the answer of a transaction lost", BEFORE, _lose_answer),
        _failed(
            "SIGTERM with stdout closed, SIGKILL after one call",
            RUNNING,
            lambda t: t.at(RUNNING, t.terminate_as_kfp),
            "the step got SIGTERM",
            "143 or 137",
        ),
        Row("two attempts of one step at once", RUNNING, attempts, jobs="KILLED, SUCCESS"),
        Row("the step's clock an hour ahead", always, _skew("+1h"), lease=SERVER_LEASE),
        Row("the step's clock an hour behind", always, _skew("-1h"), lease=SERVER_LEASE),
        _failed(
            "the launcher stands still, the lease runs out",
            RUNNING,
            lambda t: t.at(RUNNING, t.pause_launcher),
            lost,
        ),
        Row(
            "the pipeline updated by another step",
            BEFORE,
            lambda t: t.at(BEFORE, t.update_pipeline),
            jobs="KILLED, KILLED, SUCCESS",
        ),
        Row(
            "somebody stops the job",
            RUNNING,
            lambda t: t.at(RUNNING, t.stop_jobs),
            "1",
            "KILLED",
            "failed",
            "ended as KILLED: not wanted any more",
        ),
    ]


ROWS = [*_kills(), *_losses(), *_cuts(), *_others()]
