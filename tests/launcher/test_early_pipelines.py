"""The snapshot makes the pipelines of a run's steps ahead: workers start before the steps do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from launcher_steps import Ended, Runner, put  # type: ignore[import-not-found]

from kfp_pachyderm.errors import TemporaryError
from kfp_pachyderm.launcher.claim.pipeline_plan import make_plan
from kfp_pachyderm.launcher.config import AheadConfig, InputConfig, SnapshotConfig, StepConfig, dumps
from kfp_pachyderm.pachd.claims.early_pipelines import make_ahead
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.pachd.references import Reference, repo_message
from kfp_pachyderm.pachd.sdk import pfs, pps
from tests.faults.fault_pachd import FaultyPachd
from tests.waiting import wait_for


def snapshot(
    step: Runner, *steps: tuple[str, StepConfig, dict[str, str]]
) -> subprocess.CompletedProcess[str]:
    """The snapshot of the run that the runner's step is in, too."""
    folder = step.folder.parent / "pachyderm-snapshot"
    if step.output_file != "executor_output.json":  # KFP's backend: <task>/<salt>
        folder = step.folder.parent.parent / "pachyderm-snapshot" / step.folder.name
    folder.mkdir(parents=True, exist_ok=True)
    repo = f"in-{step.name}"
    ahead = tuple(AheadConfig(*one) for one in steps or [(step.name, step.config(), {"images": "images"})])
    config = SnapshotConfig("default", {"images": f"default/{repo}@master"}, ahead=ahead, timeout=10)
    outputs = {
        "parameters": {"images": {"outputFile": str(folder / "images")}},
        "outputFile": str(folder / step.output_file),
    }
    argv = [
        dumps(config),
        "--executor-input",
        json.dumps({"outputs": outputs}),
        "--",
        "kfp.dsl.executor_main",
    ]
    env = {**os.environ, "KFP_PACHYDERM_ADDRESS": step.address}
    command = [sys.executable, "-m", "kfp_pachyderm.launcher", *argv]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    print(ended.stdout, ended.stderr)
    assert ended.returncode == 0
    assert (folder / "images").read_text().startswith(f"default/{repo}@")
    return ended


def another(step: Runner, suffix: str) -> Runner:
    """Another step of the same run."""
    found = replace(step, name=f"{step.name}-{suffix}", folder=step.folder.parent / f"{step.name}-{suffix}")
    found.folder.mkdir()
    return found


def pipeline(step: Runner) -> pps.PipelineInfo:
    name = pps.Pipeline(project=pfs.Project(name="default"), name=step.name)
    return step.pachd.pps.inspect_pipeline(pipeline=name, details=True)


def is_idle(step: Runner) -> bool:
    return all(one.state == pps.JobState.JOB_SUCCESS for one in step.jobs())


@contextmanager
def slow_workers(pachd: Pachd, seconds: float) -> Iterator[None]:
    method = "/kfp_pachyderm.embedded.Faults/StartWorkers"
    before = json.loads(pachd.raw(method, json.dumps({"seconds": seconds}).encode()))
    yield
    pachd.raw(method, json.dumps({"seconds": before}).encode())


def waited(step: Runner, ended: Ended) -> float:
    """Seconds from the claim to the start of the step's job, by Pachyderm's own clock."""
    assert ended.code == 0
    info = step.job(ended)
    return float((info.started - info.created).total_seconds())


def test_a_step_finds_its_pipeline_as_it_wants_it(step: Runner) -> None:
    commit = step.fill()
    said = snapshot(step)
    assert f"pipeline default/{step.name} is made ahead" in said.stderr
    wait_for(lambda: is_idle(step))
    (first,) = step.jobs()
    assert (first.data_total, first.data_processed) == (0, 0)
    ended = step.run("pass")
    assert ended.code == 0
    assert f" from images=default/in-{step.name}@{commit}\n" in ended.out
    assert pipeline(step).version == 1
    assert len(step.jobs()) == 2
    assert "made ahead" not in snapshot(step).stderr
    assert len(step.jobs()) == 2


def test_the_first_step_costs_what_a_later_one_costs(step: Runner) -> None:
    step.fill()
    cold = another(step, "cold")
    with slow_workers(step.pachd, 3.0):
        not_ahead = waited(cold, cold.run("pass", images=f"in-{step.name}@master"))
        snapshot(step)
        # While KFP schedules the first step, which takes it longer than a worker takes to start.
        wait_for(lambda: is_idle(step))
        first, later = (waited(step, step.run("pass")) for _ in range(2))
    assert not_ahead >= 3.0
    assert max(first, later) < not_ahead / 2


def test_a_pipeline_reads_what_another_step_is_going_to_write(step: Runner) -> None:
    commit = step.fill()
    second = another(step, "second")
    reads = StepConfig(component="reads", inputs=(InputConfig("made", step.name), InputConfig("images", "x")))
    given = {"made": f"default/{step.name}@master", "images": "images"}
    snapshot(step, (step.name, step.config(), {"images": "images"}), (second.name, reads, given))
    wait_for(lambda: is_idle(step) and is_idle(second))
    made = step.run("import boto3; boto3.client('s3').put_object(Bucket='out', Key='a', Body=b'A')")
    config = replace(reads, timeout=20.0)
    images = f"in-{step.name}@{commit}"
    assert second.run("pass", config, made=f"{step.name}@{made.job}", images=images).code == 0
    assert pipeline(second).version == 1


def test_a_pipeline_that_no_step_used_yet_is_changed(step: Runner) -> None:
    step.fill()
    snapshot(step)
    wait_for(lambda: is_idle(step))
    snapshot(step, (step.name, step.config(s3_out=False), {"images": "images"}))
    wait_for(lambda: is_idle(step))
    assert pipeline(step).version == 2
    assert step.run("pass", step.config(s3_out=False)).code == 0
    assert pipeline(step).version == 2


def test_a_pipeline_in_use_is_left_to_the_step(step: Runner) -> None:
    step.fill()
    kept = step.run("import boto3; boto3.client('s3').put_object(Bucket='out', Key='a', Body=b'A')")
    other = step.config(holder=replace(step.config().holder, lease=31.0))
    snapshot(step, (step.name, other, {"images": "images"}))
    assert pipeline(step).version == 1
    head = pfs.Branch(repo=repo_message("default", step.name), name="master")
    assert step.pachd.pfs.inspect_branch(branch=head).head.id == kept.job
    assert step.run("pass", other).code == 0
    assert pipeline(step).version == 2


def test_a_pipeline_in_use_is_left_to_the_step_that_reads_something_new(step: Runner) -> None:
    step.fill()
    kept = step.run("import boto3; boto3.client('s3').put_object(Bucket='out', Key='a', Body=b'A')")
    put(step.pachd, f"more-{step.name}", {"b": b"B"})
    other = step.config(inputs=(InputConfig("images", f"more-{step.name}"),))
    snapshot(step, (step.name, other, {"images": f"default/more-{step.name}@master"}))
    assert pipeline(step).version == 1
    head = pfs.Branch(repo=repo_message("default", step.name), name="master")
    assert step.pachd.pfs.inspect_branch(branch=head).head.id == kept.job


def test_a_running_job_is_not_killed(step: Runner) -> None:
    step.fill()
    gate = step.folder / "gate"
    running = step.start(f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)")
    wait_for(lambda: [one.state for one in step.jobs()] == [pps.JobState.JOB_RUNNING])
    other = step.config(holder=replace(step.config().holder, lease=31.0))
    snapshot(step, (step.name, other, {"images": "images"}))
    gate.touch()
    assert step.end(running).code == 0


def test_a_step_that_begins_while_the_snapshot_changes_its_pipeline(step: Runner) -> None:
    step.fill()
    snapshot(step)
    wait_for(lambda: is_idle(step))
    begun, said, claimed = step.folder / "begun", list[str](), list[subprocess.Popen[str]]()
    gate = step.folder / "gate"

    def claim() -> None:
        code = f"""
import os, time
open({str(begun)!r}, "a").write("x")
while not os.path.exists({str(gate)!r}): time.sleep(0.05)
"""
        claimed.append(step.start(code))
        threading.Thread(target=lambda: said.extend(claimed[0].stderr or ())).start()
        wait_for(lambda: begun.exists() or any("waiting for it to end" in one for one in said))

    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.before("CreatePipelineV2", claim)
        snapshot(
            replace(step, address=f"grpc://{proxy.address}"),
            (step.name, step.config(s3_out=False), {"images": "images"}),
        )
    gate.touch()
    assert (claimed[0].wait(), begun.read_text()) == (0, "x"), said


def test_what_is_not_ours_is_untouched_and_the_run_goes_on(step: Runner) -> None:
    step.fill()
    put(step.pachd, step.name, {"a": b"theirs"})
    said = snapshot(step)
    assert f"the pipeline of step {step.name} could not be made ahead" in said.stderr
    assert "is a repo already" in said.stderr
    assert step.jobs() == []


def test_pipelines_of_another_kfp_pipeline_are_untouched(step: Runner) -> None:
    step.fill()
    step.run("pass")
    theirs = replace(step, folder=step.folder.parent.parent / "other-2026-01-02-03-04-05-678901" / step.name)
    theirs.folder.mkdir(parents=True)
    said = snapshot(theirs)
    assert "wants it too" in said.stderr
    assert pipeline(step).version == 1


def test_a_claim_branch_that_was_left_with_data_would_start_user_code(step: Runner) -> None:
    step.fill()
    step.run("pass")
    name = pps.Pipeline(project=pfs.Project(name="default"), name=step.name)
    step.pachd.pps.delete_pipeline(pipeline=name, force=True)
    assert "made ahead" not in snapshot(step).stderr
    assert step.jobs() == []
    assert step.run("pass").code == 0


def test_runs_at_once_share_what_is_made_ahead(step: Runner) -> None:
    step.fill()
    runs = [step.iteration(salt) for salt in ("1", "2", "3")]

    def whole_run(run: Runner) -> int:
        snapshot(run)
        return int(run.run("pass").code)

    with ThreadPoolExecutor(len(runs)) as pool:
        assert list(pool.map(whole_run, runs)) == [0, 0, 0]
    assert pipeline(step).version == 1
    done = [one for one in step.jobs() if one.data_total]
    assert len(done) == len(runs)
    assert is_idle(step)


def test_the_deadline_is_that_of_all_calls_together(step: Runner) -> None:
    commit = Reference("default", f"in-{step.name}", step.fill())
    config = step.config()
    plan = make_plan(config, step.name, "", [(config.inputs[0], commit)])
    deadline = time.monotonic() + 2.0
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        # each of the two takes less than the whole
        proxy.before("InspectRepo", lambda: wait_for(lambda: time.monotonic() > deadline - 0.5))
        proxy.before("CreatePipelineV2", lambda: wait_for(lambda: time.monotonic() > deadline + 0.5))
        with connect(parse(f"grpc://{proxy.address}")) as pachd, pytest.raises(TemporaryError):
            make_ahead(pachd, plan, deadline)
    assert not step.jobs()
