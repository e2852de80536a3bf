"""Many steps at once on one Pachyderm: each gets its own job and data. What they wait for: test_faults.py."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from launcher_steps import Ended, Runner, put  # type: ignore[import-not-found]

from kfp_pachyderm.embedded.process import EmbeddedProcess
from kfp_pachyderm.launcher.config import InputConfig
from kfp_pachyderm.pachd.commits.direct_inputs import direct_inputs
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs.job import inspect_output
from kfp_pachyderm.pachd.references import Reference, commit_message
from kfp_pachyderm.pachd.sdk import pfs, pps
from tests.long import long
from tests.waiting import PATIENCE

#: Writes a text without an S3 client: fifty of those take their time to start.
WRITE = """
import os, urllib.request
put = urllib.request.Request(os.environ["S3_ENDPOINT"] + "/out/said", {said!r}.encode(), method="PUT")
urllib.request.urlopen(put).close()
"""
COPY = """
import boto3
s3 = boto3.client("s3")
bucket = {bucket!r}
body = s3.get_object(Bucket=bucket, Key="said")["Body"].read()
s3.put_object(Bucket="out", Key="said", Body=body + b"+")
"""
STEPS, PIPELINES = 50, 10
#: Bytes that the server may need beyond what it needed before; measured: 35 MiB.
MORE_MEMORY = 100 * 2**20


def said(pachd: Pachd, pipeline: str, job: str) -> bytes:
    commit = commit_message(Reference("default", pipeline, job))
    pieces = pachd.pfs.get_file(file=pfs.File(commit=commit, path="/said"))
    return b"".join(piece.value for piece in pieces)


def succeeded(step: Runner, every: list[Ended]) -> None:
    """Each has a job of its own, and there are no others."""
    assert [one.code for one in every] == [0] * len(every)
    jobs = {info.job.id: info for info in step.jobs()}
    assert set(jobs) == {one.job for one in every}
    assert {info.state for info in jobs.values()} == {pps.JobState.JOB_SUCCESS}
    assert {info.pipeline_version for info in jobs.values()} == {1}


def test_a_loop_of_eight_on_a_pipeline_that_does_not_exist_yet(step: Runner) -> None:
    step.fill()
    items = [step.iteration(f"salt-{number}") for number in range(8)]
    code = [WRITE.format(said=f"item {number}") for number in range(8)]
    started = [one.start(text, step.config(gateway="direct")) for one, text in zip(items, code, strict=True)]
    ended = [one.end(process, 120) for one, process in zip(items, started, strict=True)]
    succeeded(step, ended)
    outputs = [said(step.pachd, step.name, one.job) for one in ended]
    assert outputs == [f"item {number}".encode() for number in range(8)]


def test_two_runs_of_one_pipeline_at_once_keep_their_data_apart(step: Runner) -> None:
    heads = [step.fill(said=text) for text in (b"one", b"two")]  # the second one appends
    second = Runner(step.address, step.pachd, step.folder, step.processes)
    further = second.config(inputs=(InputConfig("first", step.name),))

    def run(number: int) -> tuple[Ended, Ended]:
        one, two = step.iteration(f"run-{number}"), second.iteration(f"run-{number}")
        first = one.run(COPY.format(bucket="images"), images=f"in-{step.name}@{heads[number]}")
        return first, two.run(COPY.format(bucket="first"), further, first=f"{step.name}@{first.job}")

    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(run, range(2)))
    succeeded(step, [first for first, _ in runs])
    succeeded(second, [last for _, last in runs])
    for (first, last), text in zip(runs, (b"one", b"onetwo"), strict=True):
        assert said(step.pachd, second.name, last.job) == text + b"++"
        output = inspect_output(step.pachd, Reference("default", second.name, last.job))
        assert direct_inputs(output) == (Reference("default", step.name, first.job),)


def peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@long
def test_fifty_steps_at_once(step: Runner, embedded: EmbeddedProcess) -> None:
    put(step.pachd, f"in-{step.name}", {"a": b"A"})
    inputs = (InputConfig("images", f"in-{step.name}"),)
    kinds = [Runner(step.address, step.pachd, step.folder, step.processes) for _ in range(PIPELINES)]
    steps = [kinds[number % PIPELINES].iteration(f"salt-{number}") for number in range(STEPS)]
    before = peak_memory(embedded.pid)
    started = [
        one.start(
            WRITE.format(said=f"step {number}"), one.config(inputs=inputs, gateway="direct", timeout=PATIENCE)
        )
        for number, one in enumerate(steps)
    ]
    ended = [one.end(process) for one, process in zip(steps, started, strict=True)]
    for number, kind in enumerate(kinds):
        succeeded(kind, ended[number::PIPELINES])
    outputs = [said(step.pachd, one.name, end.job) for one, end in zip(steps, ended, strict=True)]
    assert outputs == [f"step {number}".encode() for number in range(STEPS)]
    assert list(step.pachd.transactions.list_transaction().transaction_info) == []
    more = peak_memory(embedded.pid) - before
    print(f"the server's memory: {before / 2**20:.0f} MiB before, {more / 2**20:.0f} MiB more")
    assert more < MORE_MEMORY
