"""What need not wait for each other does not, and what has to come first does."""

from __future__ import annotations

import json
import signal
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest
from launcher_steps import LEASE, Runner, put  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import HolderConfig, InputConfig
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.job import inspect_output
from kfp_pachyderm.pachd.jobs.locator import locate
from kfp_pachyderm.pachd.references import Reference, repo_message
from kfp_pachyderm.pachd.sdk import pfs, pps
from tests.faults.fault_pachd import FaultyPachd
from tests.waiting import PATIENCE


@pytest.fixture
def proxy(step: Runner) -> Iterator[FaultyPachd]:
    """In front of pachd for the step; its pipeline is there, so that only its commit gets metadata."""
    step.fill()
    assert step.run("pass").code == 0
    with FaultyPachd(step.address.removeprefix("grpc://")) as one:
        step.address = f"grpc://{one.address}"
        yield one


def attached(step: Runner) -> bool:
    """Whether the step's newest job has a holder that is attached."""
    (job,) = [one for one in step.jobs() if one.state == pps.JobState.JOB_RUNNING] or [None]
    if job is None:
        return False
    try:
        places = locate(step.pachd, ClaimedJob("default", step.name, job.job.id))
        with urllib.request.urlopen(f"{places.holder}/v1/status") as answer:  # noqa: S310
            return bool(json.load(answer)["state"] == "attached")
    except Exception:  # not yet
        return False


def test_the_job_is_watched_while_its_commit_is_signed(step: Runner, proxy: FaultyPachd) -> None:
    watched, seen = threading.Event(), []
    proxy.before("InspectJob", watched.set)
    proxy.before("EditMetadata", lambda: seen.append(watched.wait(20)))
    assert step.run("pass").code == 0
    assert seen == [True]


def test_the_command_begins_when_its_commit_is_signed(step: Runner, proxy: FaultyPachd) -> None:
    began, seen = step.folder / "began", []

    def hold() -> None:
        until = time.monotonic() + 20
        while not attached(step) and time.monotonic() < until:
            time.sleep(0.02)
        seen.append(attached(step))
        until = time.monotonic() + 1
        while not began.exists() and time.monotonic() < until:
            time.sleep(0.02)
        seen.append(began.exists())

    proxy.before("EditMetadata", hold)
    ended = step.run(f"open({str(began)!r}, 'w')")
    assert ended.code == 0
    assert seen == [True, False]
    assert began.exists()
    output = inspect_output(step.pachd, Reference("default", step.name, ended.job))
    assert output.metadata["kfp-pachyderm/task"] == step.name


def test_a_commit_that_can_not_be_signed_begins_again_before_the_command(
    step: Runner, proxy: FaultyPachd
) -> None:
    lost_until_another_job = [False] * 1000
    proxy.lose("EditMetadata", lost_until_another_job)
    proxy.before("StartTransaction", lambda: proxy.before("StartTransaction", lost_until_another_job.clear))
    # It is tried again for a little longer than the lease.
    ended = step.run("print('began')", step.config(holder=HolderConfig(lease=LEASE)))
    assert ended.code == 0
    assert ended.out.count("began") == 1
    assert "the step's command has not begun, trying again" in ended.err
    (lost,) = [one for one in step.jobs() if one.state != pps.JobState.JOB_SUCCESS]
    assert ended.out.count("job=") == 2
    assert f"job={lost.job.id}" in ended.out
    assert lost.job.id != ended.job


@pytest.fixture
def fresh(step: Runner) -> Iterator[FaultyPachd]:
    """In front of pachd for a step whose pipeline is not there: what it makes is marked first."""
    step.fill()
    with FaultyPachd(step.address.removeprefix("grpc://")) as one:
        step.address = f"grpc://{one.address}"
        yield one


def test_a_signal_while_the_new_pipeline_is_marked_withdraws_its_job(
    step: Runner, fresh: FaultyPachd
) -> None:
    asked, ended = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        ended.wait(PATIENCE)

    fresh.before("EditMetadata", hold)
    process = step.start("pass", step.config(holder=HolderConfig(attach_timeout=PATIENCE)))
    assert asked.wait(PATIENCE)
    process.send_signal(signal.SIGTERM)
    assert step.end(process).code
    ended.set()
    (job,) = step.jobs()
    assert job.state == pps.JobState.JOB_KILLED


def test_inputs_and_pipeline_are_asked_for_side_by_side(step: Runner, proxy: FaultyPachd) -> None:
    put(step.pachd, f"more-{step.name}", {"a": b"A"})
    both, met = threading.Barrier(3), []

    def meet() -> None:
        try:
            met.append(both.wait(20) >= 0)
        except threading.BrokenBarrierError:
            met.append(False)

    for call in ("InspectCommit", "GlobFile", "InspectPipeline"):
        proxy.before(call, meet)
    inputs = (*step.config().inputs, InputConfig("more", f"more-{step.name}"))
    assert step.run("pass", step.config(inputs=inputs)).code == 0
    assert met == [True, True, True]


def test_an_input_that_is_missing_is_told_while_another_is_waited_for(step: Runner) -> None:
    step.fill()
    branch = pfs.Branch(repo=repo_message("default", f"in-{step.name}"), name="master")
    commit = step.pachd.pfs.start_commit(branch=branch)
    inputs = (*step.config().inputs, InputConfig("more", f"more-{step.name}"))
    # That wait ends by its own deadline, with another error.
    ended = step.run("pass", step.config(inputs=inputs, timeout=10.0))
    step.pachd.pfs.finish_commit(commit=commit)
    assert ended.code == 1
    assert f"RepoNotFoundError: default/more-{step.name}@master" in ended.err
    assert "still open" not in ended.err


def test_each_of_several_pipelines_is_looked_at_once(step: Runner) -> None:
    """Before the one call that makes the job; of the three one has been made, and has had its turn."""
    step.fill()
    config = step.config(concurrency=3)
    assert step.run("pass", config).code == 0
    with FaultyPachd(step.address.removeprefix("grpc://")) as one:
        step.address = f"grpc://{one.address}"
        assert step.run("pass", config).code == 0
    asked = Counter(one.called[: one.called.index("BatchTransaction")])
    assert [asked[call] for call in ("ListBranch", "InspectPipeline", "ListJob")] == [3, 3, 1]


def test_what_the_inputs_come_from_is_asked_while_the_command_runs(step: Runner, proxy: FaultyPachd) -> None:
    asked = step.folder / "asked"
    proxy.before("WalkCommitProvenance", asked.touch)
    code = f"""
import pathlib, time
until = time.monotonic() + {PATIENCE}
while not pathlib.Path({str(asked)!r}).exists():
    assert time.monotonic() < until
    time.sleep(0.01)
"""
    ended = step.run(code)
    assert ended.code == 0
    assert f"in-{step.name}@" in (ended.folder / "pachyderm").read_text()
