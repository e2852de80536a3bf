"""Signals, leases, attempts, queues: what the table in tests/faults does not show."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from launcher_steps import Runner, wait_for  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import HolderConfig
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


def test_lease_is_kept_while_the_child_works(step: Runner) -> None:
    step.fill()
    ended = step.run("import time; time.sleep(2.5)", step.config(holder=HolderConfig(lease=0.9)))
    assert ended.code == 0


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
    config = step.config(gateway="direct", holder=HolderConfig(lease=1.0))
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
