"""A step that changes its pipeline while another step claims a job of it: no command is killed."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from launcher_steps import Runner, put  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import HolderConfig, InputConfig, StepConfig
from kfp_pachyderm.pachd.claims.fence import is_fence
from kfp_pachyderm.pachd.jobs.job import is_over
from kfp_pachyderm.pachd.references import repo_message
from kfp_pachyderm.pachd.sdk import pps
from tests.faults.fault_pachd import FaultyPachd
from tests.waiting import PATIENCE, wait_for

#: Notes that it began, and runs until the gate is open.
COMMAND = f"""
import pathlib, time
with open({{begun!r}}, "a") as file: file.write("x")
until = time.monotonic() + {PATIENCE}
while not pathlib.Path({{gate!r}}).exists():
    assert time.monotonic() < until
    time.sleep(0.01)
"""
WAITS = ("waiting for it to end", "waiting for its job", "are busy")


@dataclass
class Watched:
    """A step's process, and what it has said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr or ()))
        self._reader.start()

    def waits(self) -> bool:
        return any(text in line for line in self.said[:] for text in WAITS)

    def end(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join()
        print("".join(self.said))
        return code


def changed(step: Runner, **fields: int) -> StepConfig:
    config: StepConfig = step.config(holder=HolderConfig(lease=31.0), **fields)
    return config


class Race:
    """A step that changes its pipeline, and another one that claims a job of it as it is.

    Args:
        step: the pipeline exists, made by its first run.
        folder: for the other step's command.
    """

    def __init__(self, step: Runner, folder: Path) -> None:
        step.fill()
        assert step.iteration("first").run("pass").code == 0
        self._step, self.begun, self._gate = step, folder / "begun", folder / "gate"
        self.claimed: list[Watched] = []

    def claim(self, config: StepConfig | None = None) -> None:
        code = COMMAND.format(begun=str(self.begun), gate=str(self._gate))
        self.claimed.append(Watched(self._step.iteration("old").start(code, config)))

    def begin(self, config: StepConfig | None = None) -> None:
        self.claim(config)
        wait_for(self.begun.exists, "its command")

    def change(self, proxy: FaultyPachd, config: StepConfig) -> tuple[int, int]:
        """Changes the pipeline by way of the proxy; returns the exit codes of the two."""
        runner = replace(self._step.iteration("new"), address=f"grpc://{proxy.address}")
        changing = Watched(runner.start("pass", config))
        wait_for(lambda: self.claimed and (changing.waits() or changing.process.poll() is not None))
        self._gate.touch()
        return changing.end(), self.claimed[0].end()


@pytest.mark.parametrize(
    ("method", "concurrency"),
    [
        ("ListJob", 1),
        ("CreateBranch", 1),
        ("StartTransaction", 1),
        ("FinishTransaction", 1),
        ("StartTransaction", 2),
        ("FinishTransaction", 2),
    ],
)
def test_a_step_that_claims_while_another_changes_the_pipeline(
    step: Runner, tmp_path: Path, method: str, concurrency: int
) -> None:
    race = Race(step, tmp_path)

    def claim() -> None:
        race.claim()
        wait_for(lambda: race.begun.exists() or race.claimed[0].waits(), "its command, or that it waits")

    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.before(method, claim)
        codes = race.change(proxy, changed(step, concurrency=concurrency))
    assert (codes, race.begun.read_text()) == ((0, 0), "x")
    every = step.pachd.pfs.list_branch(repo=repo_message("default", step.name))
    assert not [one.branch.name for one in every if is_fence(one.branch.name)]


def test_steps_that_want_the_same_change_make_it_once(step: Runner) -> None:
    step.fill()
    assert step.iteration("first").run("pass").code == 0
    all_looked = threading.Barrier(3)

    def look() -> None:
        all_looked.wait(PATIENCE)

    proxies = [FaultyPachd(step.address.removeprefix("grpc://")) for _ in range(3)]
    running = []
    for number, proxy in enumerate(proxies):
        # Each has found that the pipeline has to be changed.
        proxy.before("CreateBranch", look)
        runner = replace(step.iteration(f"new-{number}"), address=f"grpc://{proxy.address}")
        running.append(Watched(runner.start("pass", changed(step))))
    codes = [one.end() for one in running]
    for proxy in proxies:
        proxy.__exit__()
    assert (codes, step.pipeline().version) == ([0, 0, 0], 2)
    assert [one.state for one in step.jobs()] == [pps.JobState.JOB_SUCCESS] * 4


def test_a_change_that_is_tried_again_looks_for_jobs_again(step: Runner, tmp_path: Path) -> None:
    race = Race(step, tmp_path)
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.lose("FinishTransaction", [False])
        # After the first attempt, whose transaction failed, before the second one makes its fence.
        proxy.before("FinishTransaction", lambda: proxy.before("InspectPipeline", race.begin))
        codes = race.change(proxy, changed(step))
    assert (codes, race.begun.read_text()) == ((0, 0), "x")


@pytest.mark.parametrize("other", ["lease", "repo", "glob"])
def test_a_pipeline_that_another_step_changes_between_look_and_claim(step: Runner, other: str) -> None:
    """The claim makes a job of the other one's pipeline, or none: the step makes one of its own."""
    step.fill(a=b"A")
    put(step.pachd, f"other-{step.name}", {"b": b"B"})
    assert step.iteration("first").run("pass").code == 0
    made_from = step.pipeline().user_spec_json
    configs = {
        "lease": changed(step),
        "repo": step.config(inputs=(InputConfig("images", f"other-{step.name}"),)),
        "glob": step.config(inputs=(InputConfig("images", f"in-{step.name}", s3=False, glob="/none*"),)),
    }

    def change() -> None:
        put(step.pachd, f"in-{step.name}", {"none": b""})
        assert step.iteration("new").run("pass", configs[other]).code == 0
        assert step.pipeline().version == 2

    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.before("StartTransaction", change)
        runner = replace(step.iteration("old"), address=f"grpc://{proxy.address}")
        ended = runner.run("import boto3; print(boto3.client('s3').list_objects(Bucket='images'))")
    assert (ended.code, "'Key': 'a'" in ended.out) == (0, True)
    job = step.job(ended)
    assert (job.state, job.pipeline_version) == (pps.JobState.JOB_SUCCESS, 3)
    assert (step.pipeline().version, step.pipeline().user_spec_json) == (3, made_from)
    assert all(is_over(one) for one in step.jobs())


def test_a_pipeline_that_is_deleted_and_made_by_another_step_between_look_and_claim(step: Runner) -> None:
    """It has the same version number again, and another spec."""
    step.fill()
    assert step.iteration("first").run("pass").code == 0
    made_from = step.pipeline().user_spec_json

    def make_again() -> None:
        step.pachd.pps.delete_pipeline(pipeline=step.pipeline().pipeline)
        assert step.iteration("new").run("pass", changed(step)).code == 0
        assert step.pipeline().version == 1

    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.before("StartTransaction", make_again)
        ended = replace(step.iteration("old"), address=f"grpc://{proxy.address}").run("pass")
    assert ended.code == 0
    assert step.job(ended).pipeline_version == 2
    assert (step.pipeline().version, step.pipeline().user_spec_json) == (2, made_from)


def test_a_job_of_another_steps_spec_does_not_stay_in_the_queue(step: Runner, tmp_path: Path) -> None:
    """It is ended while the other step's command runs, and the step waits for that one to change it back."""
    race = Race(step, tmp_path)
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.before("StartTransaction", lambda: race.begin(changed(step)))
        codes = race.change(proxy, step.config())
    assert (codes, race.begun.read_text()) == ((0, 0), "x")
    first, of_other, lost, own = sorted(step.jobs(), key=lambda one: one.created)
    assert [one.pipeline_version for one in (first, of_other, lost, own)] == [1, 2, 2, 3]
    assert (lost.state, own.state) == (pps.JobState.JOB_KILLED, pps.JobState.JOB_SUCCESS)
