"""Steps with a shared S3 endpoint: processes on another host use it until the step's command ends."""

from __future__ import annotations

import errno
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kfp_pachyderm.launcher.config import HolderConfig, InputConfig
from kfp_pachyderm.pachd.sdk import pps
from tests.launcher.launcher_steps import LEASE, Ended, Runner, files, put
from tests.other_hosts import Hosts
from tests.waiting import wait_for

WORKER = """
import boto3
from kfp_pachyderm.runtime import current_step
step = current_step()
plain, made = boto3.client("s3"), step.boto3_client()
for name, s3 in (("plain", plain), ("made", made)):
    content = s3.get_object(Bucket="images", Key="a")["Body"].read()
    s3.put_object(Bucket="out", Key=f"{name}/{step.datum}", Body=content + name.encode())
"""
#: A program that puts objects until it is refused, and notes those that were acknowledged.
WRITER = """
import boto3, itertools, os, sys
from botocore.config import Config
config = Config(retries={"total_max_attempts": 1}, connect_timeout=600, read_timeout=600)
s3, notes = boto3.client("s3", config=config), open(sys.argv[1], "a", buffering=1)
for number in itertools.count():
    try:
        s3.put_object(Bucket="out", Key=f"w{sys.argv[2]}/{number}", Body=b"x" * 5000)
    except Exception as error:
        notes.write(f"end {type(error).__name__} {error}\\n")
        break
    notes.write(f"/w{sys.argv[2]}/{number}\\n")
"""
#: The step's command: starts programs on another host, with the variables of `environment()` and no others.
CHILD = """
import json, os, subprocess, sys, time
from kfp_pachyderm.runtime import current_step
step = current_step()
print("endpoint", step.endpoint, os.environ["S3_ENDPOINT"], flush=True)
print("settings", step, step.environment(), step.storage_options(), step.spark_conf(), flush=True)
def elsewhere(code, *arguments, **options):
    argv = [*json.loads(os.environ["OTHER_HOST"]), sys.executable, "-c", code, *arguments]
    return subprocess.Popen(argv, env=step.environment(), **options)
"""
RUN_WORKER = f"{CHILD}\nraise SystemExit(elsewhere({WORKER!r}).wait())"
START_WRITERS = f"""{CHILD}
notes = os.environ["NOTES"].split()
for number, file in enumerate(notes):
    elsewhere({WRITER!r}, file, str(number), start_new_session=True)
while not all(os.path.exists(file) and open(file).read().count("/") > 6 for file in notes):
    time.sleep(0.01)
print("writing", flush=True)
"""
STAY = "\nwhile True: time.sleep(1)"


def start(step: Runner, hosts: Hosts, code: str, config: Any = None, **env: str) -> subprocess.Popen[str]:
    given = {"OTHER_HOST": json.dumps(hosts.others[0].prefix), **env}
    return step.start(code, config or step.config(share=True), given)


def endpoint(ended: Ended) -> tuple[str, int]:
    found = re.search(r"^endpoint http://(\S+):(\d+) http://\1:\2$", ended.out, re.MULTILINE)
    assert found, ended.out
    return found[1], int(found[2])


def refused(host: str, port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((host, port)) == errno.ECONNREFUSED


def test_a_process_on_another_host_works_in_the_step(step: Runner, hosts: Hosts) -> None:
    step.fill(a=b"A")
    put(step.pachd, f"files-{step.name}", {"x": b"x", "y": b"y"})
    more = InputConfig("files", f"files-{step.name}", s3=False, glob="/*")
    config = step.config(share=True, inputs=(*step.config().inputs, more))
    ended = step.end(start(step, hosts, RUN_WORKER, config))
    assert ended.code == 0
    host, port = endpoint(ended)
    assert host == hosts.here
    found = files(step.pachd, "default", step.name, ended.job)
    assert sorted(found.values()) == [5, 5, 6, 6]
    # two datums, each with a command of its own, and the endpoint shared while they ran
    assert ended.err.count("is shared: whoever has the step's keys may use it") == 2
    assert refused(host, port)
    assert step.job(ended).state == pps.JobState.JOB_SUCCESS


def test_keys_are_of_one_step_and_in_no_log(step: Runner, hosts: Hosts) -> None:
    step.fill(a=b"A")
    code = f"{CHILD}\nopen(os.environ['NOTES'], 'a').write(step.secret_key + ' ')"
    notes = step.folder / "keys"
    logs = ""
    for _ in range(2):
        ended = step.end(start(step, hosts, code, NOTES=str(notes)))
        assert ended.code == 0
        logs += ended.out + ended.err
    first, second = notes.read_text().split()
    assert first != second
    assert not {first, second} & set(re.split(r"[^0-9a-f]+", logs))
    assert "'AWS_SECRET_ACCESS_KEY': '***'" in logs


def notes_of(files: list[Path]) -> list[str]:
    """Waits until all writers have been refused, and returns the objects that were acknowledged."""
    wait_for(lambda: all("end " in file.read_text() for file in files), "every writer's end")
    return sorted(line for file in files for line in file.read_text().splitlines() if line[0] == "/")


def test_what_is_acknowledged_when_the_command_ends_is_in(step: Runner, hosts: Hosts, tmp_path: Path) -> None:
    step.fill(a=b"A")
    notes = [tmp_path / "one", tmp_path / "two"]
    ended = step.end(start(step, hosts, START_WRITERS, NOTES=" ".join(map(str, notes))))
    assert ended.code == 0
    acknowledged = notes_of(notes)
    assert sorted(files(step.pachd, "default", step.name, ended.job)) == acknowledged
    assert len(acknowledged) > 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_step_that_is_killed_leaves_no_endpoint(
    step: Runner, hosts: Hosts, tmp_path: Path, number: int
) -> None:
    step.fill(a=b"A")
    notes = [tmp_path / "one"]
    config = step.config(share=True, holder=HolderConfig(lease=LEASE))
    process = start(step, hosts, START_WRITERS + STAY, config, NOTES=str(notes[0]))
    assert process.stdout
    lines = []
    while not lines or not lines[-1].startswith("writing"):
        lines.append(process.stdout.readline())
    process.send_signal(number)
    assert notes_of(notes)
    ended = step.end(process)
    assert ended.code != 0
    host, port = endpoint(Ended(0, "".join(lines), "", tmp_path))
    wait_for(lambda: refused(host, port), "the endpoint to be closed")
    job = Ended(0, "".join(lines), "", tmp_path).job
    assert step.ended_job(job).state == pps.JobState.JOB_FAILURE


def test_off_by_default(step: Runner, hosts: Hosts) -> None:
    step.fill(a=b"A")
    ended = step.end(start(step, hosts, CHILD, step.config()))
    assert ended.code == 0
    assert endpoint(ended)[0] == "127.0.0.1"
    assert "is shared" not in ended.err


def test_the_interpreter_of_the_other_host_is_elsewhere(hosts: Hosts) -> None:
    """The tests of this folder need this: the other host can't reach this host's loopback address."""
    if not hosts.apart:
        pytest.skip("network namespaces can't be made here: other loopback addresses stand for hosts")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        reach = f"import socket; socket.create_connection({listening.getsockname()!r}, 5)"
        argv = hosts.others[0].command(sys.executable, "-S", "-c", reach)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "refused" in done.stderr
