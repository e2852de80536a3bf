"""Signals, leases, attempts, queues: what the table in tests/faults does not show."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from launcher_steps import LEASE, Runner  # type: ignore[import-not-found]

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.launcher.attach.holder_client import HolderClient
from kfp_pachyderm.launcher.child.signals import Signals
from kfp_pachyderm.launcher.config import HolderConfig
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.locator import locate
from kfp_pachyderm.pachd.sdk import pps
from tests.faults.fault_pachd import FaultyPachd
from tests.waiting import PATIENCE, wait_for

State = pps.JobState
#: Says when it runs, then sleeps until somebody ends it; its own child too.
SLEEP = """
import subprocess, sys, time, os
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("running", os.getpid(), inner.pid, flush=True)
time.sleep(600)
"""


def job_of(line: str) -> str:
    found = re.search(r"job=([0-9a-f]{32})", line)
    assert found, line
    return found[1]


def started(process: subprocess.Popen[str]) -> tuple[str, list[int]]:
    """The job's ID and the child's processes, once user code runs."""
    assert process.stdout
    job = job_of(process.stdout.readline())
    words = process.stdout.readline().split()
    assert words[0] == "running", words
    return job, [int(word) for word in words[1:]]


def holder_of(step: Runner, job: str) -> HolderClient:
    places = locate(step.pachd, ClaimedJob("default", step.name, job))
    return HolderClient(places.holder, "")


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def inherited(number: int, how: signal.Handlers) -> Iterator[None]:
    """What is started within gets the signal's disposition from its parent, whatever the tests' own is."""
    before = signal.signal(number, how)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_child_and_job(step: Runner, number: int) -> None:
    step.fill()
    with inherited(number, signal.SIG_DFL):
        process = step.start(SLEEP)
    job, pids = started(process)
    process.send_signal(number)
    assert step.end(process).code == 128 + number
    assert step.ended_job(job).state == State.JOB_FAILURE
    wait_for(lambda: all(gone(pid) for pid in pids), "the child's end")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_its_parent_ignores_ends_no_step(step: Runner, number: int, tmp_path: Path) -> None:
    """`nohup`, and a script's `&`, start it so: its group gets the terminal's signals all the same."""
    step.fill()
    go_on = tmp_path / "go-on"
    until = f"import os\nprint('running', flush=True)\nwhile not os.path.exists({str(go_on)!r}): pass"
    with inherited(number, signal.SIG_IGN):
        process = step.start(until)
    job, _ = started(process)
    os.killpg(process.pid, number)
    go_on.touch()
    assert step.end(process).code == 0
    assert step.ended_job(job).state == State.JOB_SUCCESS


#: Says on SIGTERM what state its holder is in, and goes on.
STUBBORN = """
import json, signal, urllib.request
def look(*_):
    try:
        with urllib.request.urlopen(open({place!r}).read() + "/v1/status") as answer:
            state = json.load(answer)["state"]
    except OSError:
        state = "gone"
    print("holder", state, flush=True)
signal.signal(signal.SIGTERM, look)
"""


def test_sigterm_goes_to_the_holder_before_the_child_and_a_second_one_kills(
    step: Runner, tmp_path: Path
) -> None:
    step.fill()
    place = tmp_path / "holder"
    process = step.start(STUBBORN.format(place=str(place)) + SLEEP)
    job, _ = started(process)
    place.write_text(holder_of(step, job).url)
    process.terminate()
    assert process.stdout
    assert process.stdout.readline() in ("holder finished\n", "holder gone\n")
    process.terminate()
    assert step.end(process).code == 143


def test_a_second_signal_does_not_wait_for_the_childs_grace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfp_pachyderm.launcher.child.process.GRACE", 10 * PATIENCE)
    up = tmp_path / "up"
    ignores = f"import signal; signal.signal(15, signal.SIG_IGN); open({str(up)!r}, 'w'); signal.pause()"
    with Signals() as signals:
        child = signals.start([sys.executable, "-c", ignores], dict(os.environ))
        wait_for(up.exists, "the child")
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert child.wait() == 128 + signal.SIGKILL


def test_a_job_that_a_user_ends_before_the_command_begins_is_not_made_again(step: Runner) -> None:
    step.fill()

    def attached(job: pps.Job) -> bool:
        try:
            return holder_of(step, job.id).status(PATIENCE).state == "attached"
        except PachydermError:
            return False

    def end() -> None:
        """Between the attach and the launcher's last look at the job."""
        (made,) = step.jobs()
        wait_for(lambda: attached(made.job), "the attach")
        step.pachd.pps.stop_job(job=made.job, reason="not this one")

    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.before("ListBranch", end)
        ended = replace(step, address=f"grpc://{proxy.address}").run("raise SystemExit(9)")
    assert ended.code == 1
    assert "JobFailedError" in ended.err
    assert "KILLED before the step began: not this one" in ended.err
    assert len(step.jobs()) == 1


def test_sigterm_while_the_job_is_queued(step: Runner) -> None:
    step.fill()
    first = step.start(SLEEP)
    started(first)
    second = step.start("raise SystemExit(9)")
    assert second.stdout
    job = job_of(second.stdout.readline())
    second.terminate()
    assert step.end(second).code == 143
    assert step.ended_job(job).state == State.JOB_KILLED
    first.terminate()
    step.end(first)


def test_lease_is_kept_while_the_child_works(step: Runner, tmp_path: Path) -> None:
    step.fill()
    flag = tmp_path / "go on"
    process = step.start(WRITE_AROUND.format(flag=str(flag)), step.config(holder=HolderConfig(lease=LEASE)))
    job, _ = started(process)
    holder = holder_of(step, job)
    over = holder.status(PATIENCE).clock + LEASE
    wait_for(
        lambda: holder.status(PATIENCE).clock > over, "the end of the first lease, by the holder's clock"
    )
    flag.touch()
    assert step.end(process).code == 0


def replace_worker(step: Runner) -> None:
    request = json.dumps({"project": "default", "pipeline": step.name}).encode()
    step.pachd.raw("/kfp_pachyderm.embedded.Faults/ReplaceWorker", request)


WRITE_AROUND = """
import boto3, os, sys, time
s3 = boto3.client("s3")
s3.put_object(Bucket="out", Key="before", Body=b"1")
print("running", flush=True)
while not os.path.exists(sys.argv[-1] if len(sys.argv) > 1 else {flag!r}): time.sleep(0.02)
s3.put_object(Bucket="out", Key="after", Body=b"22")
"""


def test_worker_that_is_replaced_under_the_sidecars_own_s3(step: Runner, tmp_path: Path) -> None:
    step.fill()
    flag = tmp_path / "go on"
    config = step.config(gateway="direct", holder=HolderConfig(lease=LEASE))
    process = step.start(WRITE_AROUND.format(flag=str(flag)), config)
    job, _ = started(process)
    replace_worker(step)
    assert process.stderr
    line = ""
    while "started again by Pachyderm" not in line:
        line = process.stderr.readline()
        assert line, "the launcher did not follow"
    flag.touch()
    ended = step.end(process)
    assert ended.code == 1
    assert "HolderReplacedError" in ended.err
    assert step.ended_job(job).state == State.JOB_FAILURE


def test_new_attempt_stops_the_job_of_its_predecessor(step: Runner) -> None:
    # As KFP's backend: same run, task and salt; only the pod's uid differs.
    step.fill()
    step = step.iteration("salt-id")
    first = step.start(SLEEP, step.config(holder=HolderConfig(lease=LEASE)), env={"KFP_POD_UID": "one"})
    job, _ = started(first)
    second = step.start(
        "print('second')", step.config(holder=HolderConfig(lease=LEASE)), {"KFP_POD_UID": "two"}
    )
    ended = step.end(second)
    assert ended.code == 0
    old = step.ended_job(job)
    assert old.state == State.JOB_KILLED
    assert "replaced by attempt two" in old.reason
    assert step.end(first).code == 1  # it hears of it by its heartbeat


def test_a_queued_job_says_what_it_waits_for(step: Runner) -> None:
    step.fill()
    first = step.start(SLEEP)
    job, _ = started(first)
    second = step.start("print('second')")
    assert second.stderr
    while "waiting for job" not in (line := second.stderr.readline()):
        assert line
    assert job in line
    first.terminate()
    assert step.end(second).code == 0
    step.end(first)
