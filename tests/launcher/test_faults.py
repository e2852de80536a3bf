"""Signals, lost leases, replaced workers: the job's outcome follows the step's, and the other way round."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from launcher_steps import Runner, files, wait_for  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import HolderConfig
from kfp_pachyderm.pachyderm.claim import ClaimedJob
from kfp_pachyderm.pachyderm.job import stop
from kfp_pachyderm.sdk import pps

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


def gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def command_line(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_child_and_job_at_once(step: Runner, number: int) -> None:
    step.fill()
    process = step.start(SLEEP)
    job, pids = started(process)
    begun = time.monotonic()
    process.send_signal(number)
    info = step.ended_job(job)
    told = time.monotonic() - begun
    assert step.end(process).code == 128 + number
    assert info.state == State.JOB_FAILURE
    assert told < 1.5
    wait_for(lambda: all(gone(pid) for pid in pids))


def test_sigterm_with_a_closed_stdout_then_sigkill_as_kfp_does_it(step: Runner) -> None:
    step.fill()
    process = step.start(SLEEP)
    job, pids = started(process)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stderr.close()
    os.killpg(process.pid, signal.SIGTERM)
    time.sleep(0.5)  # what KFP leaves a step with
    process.kill()
    assert step.ended_job(job).state == State.JOB_FAILURE
    wait_for(lambda: all(gone(pid) for pid in pids))


def test_child_that_ignores_sigterm_is_killed_by_a_second_one(step: Runner) -> None:
    step.fill()
    process = step.start("import signal; signal.signal(15, signal.SIG_IGN)\n" + SLEEP)
    _, pids = started(process)
    process.terminate()
    time.sleep(0.3)
    assert not gone(pids[0])
    process.terminate()
    assert step.end(process, 5).code == 143


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


def test_sigkill_ends_the_job_when_the_lease_runs_out(step: Runner) -> None:
    step.fill()
    process = step.start(SLEEP, step.config(holder=HolderConfig(lease=1.0)))
    job, pids = started(process)
    process.kill()
    begun = time.monotonic()
    assert step.ended_job(job).state == State.JOB_FAILURE
    assert 0.3 < time.monotonic() - begun < 5
    wait_for(lambda: all(gone(pid) for pid in pids))


def test_lease_is_kept_while_the_child_works(step: Runner) -> None:
    step.fill()
    ended = step.run("import time; time.sleep(2.5)", step.config(holder=HolderConfig(lease=0.9)))
    assert ended.code == 0


def test_job_that_somebody_stops_ends_the_step(step: Runner) -> None:
    step.fill()
    process = step.start(SLEEP, step.config(holder=HolderConfig(lease=1.0)))
    job, _ = started(process)
    stop(step.pachd, ClaimedJob("default", step.name, job), "not wanted any more")
    ended = step.end(process)
    assert ended.code == 1
    assert "KILLED" in ended.err
    assert "not wanted any more" in ended.err


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


@pytest.mark.parametrize("gateway", ["adapter", "direct"])
def test_worker_that_is_replaced_in_the_middle(step: Runner, tmp_path: Path, gateway: str) -> None:
    step.fill()
    flag = tmp_path / "go on"
    config = step.config(gateway=gateway, holder=HolderConfig(lease=1.0))
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
    if gateway == "direct":
        assert ended.code == 1
        assert "HolderReplacedError" in ended.err
        assert step.ended_job(job).state == State.JOB_FAILURE
    else:
        assert ended.code == 0
        assert step.job(job).state == State.JOB_SUCCESS
        assert files(step.pachd, "default", step.name, job) == {"/before": 1, "/after": 2}


def test_worker_that_is_replaced_just_before_the_end(step: Runner, tmp_path: Path) -> None:
    # The lease is long: no heartbeat notices, the finish does.
    step.fill()
    flag = tmp_path / "go on"
    process = step.start(WRITE_AROUND.format(flag=str(flag)))
    job, _ = started(process)
    replace_worker(step)
    flag.touch()
    assert step.end(process).code == 0
    assert step.job(job).state == State.JOB_SUCCESS
    assert files(step.pachd, "default", step.name, job) == {"/before": 1, "/after": 2}


def test_new_attempt_stops_the_job_of_its_predecessor(step: Runner) -> None:
    # As KFP's backend: same run, task and salt; only the pod's uid differs.
    step.fill()
    step = step.iteration("salt-id")
    first = step.start(SLEEP, step.config(holder=HolderConfig(lease=3.0)), env={"KFP_POD_UID": "one"})
    job, _ = started(first)
    second = step.start(
        "print('second')", step.config(holder=HolderConfig(lease=3.0)), {"KFP_POD_UID": "two"}
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


def test_adapter_that_dies_fails_the_step_and_the_job(step: Runner) -> None:
    step.fill()
    process = step.start(SLEEP)
    job, pids = started(process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (adapter,) = [int(pid) for pid in children if b"kfp_pachyderm.adapter" in command_line(pid)]
    os.kill(adapter, signal.SIGKILL)
    os.kill(pids[0], signal.SIGKILL)
    assert step.end(process).code == 137
    assert step.ended_job(job).state == State.JOB_FAILURE


def test_adapter_that_dies_at_the_end_fails_the_step_and_the_job(step: Runner) -> None:
    step.fill()
    code = """
import os, signal
parent = os.getppid()
children = open(f"/proc/{parent}/task/{parent}/children").read().split()
lines = {pid: open(f"/proc/{pid}/cmdline").read() for pid in children}
(adapter,) = [pid for pid, line in lines.items() if line.endswith("kfp_pachyderm.adapter\\0")]
os.kill(int(adapter), signal.SIGKILL)
"""
    ended = step.run(code)
    assert ended.code == 1
    assert "adapter" in ended.err
    assert step.ended_job(ended.job).state == State.JOB_FAILURE
