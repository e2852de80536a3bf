"""Jobs of one step side by side, each in a pipeline of its own."""

from __future__ import annotations

import subprocess
from typing import Any

from launcher_steps import Ended, Runner  # type: ignore[import-not-found]

from kfp_pachyderm.sdk import pps
from tests.waiting import wait_for

#: Says that it runs, then waits until it may end.
HOLD = """
import os, time
open({began!r}, "w").close()
while not os.path.exists({gate!r}):
    time.sleep(0.02)
"""


class Held:
    """An iteration that runs until its gate is opened."""

    def __init__(self, step: Runner, salt: str, **options: Any) -> None:
        self.step = step.iteration(salt)
        self._began, self._gate = self.step.folder / "began", self.step.folder / "gate"
        code = HOLD.format(began=str(self._began), gate=str(self._gate))
        config = step.config(**{"concurrency": 3, "gateway": "direct", **options})
        self.process: subprocess.Popen[str] = self.step.start(code, config)

    def began(self) -> bool:
        return self._began.exists()

    def let_go(self) -> None:
        self._gate.touch()

    def end(self) -> Ended:
        self.let_go()
        ended = self.step.end(self.process)
        assert ended.code == 0
        return ended


def pipelines(step: Runner) -> dict[str, pps.PipelineInfo]:
    every = list(step.pachd.pps.list_pipeline(details=True))
    ours = [one for one in every if one.pipeline.name.startswith(step.name)]
    return {one.pipeline.name.removeprefix(step.name): one for one in ours}


def jobs(step: Runner) -> dict[str, list[pps.JobInfo]]:
    """Jobs of each pipeline, newest first."""
    return {
        suffix: list(step.pachd.pps.list_job(pipeline=one.pipeline, history=-1))
        for suffix, one in pipelines(step).items()
    }


def ran_in(ended: Ended) -> str:
    line = next(line for line in ended.out.splitlines() if line.startswith("[kfp-pachyderm] job="))
    return str(line.split("pipeline=default/")[1].split()[0])


def test_as_many_run_at_once_as_there_may_be_and_the_next_says_what_it_waits_for(step: Runner) -> None:
    step.fill()
    held = [Held(step, f"salt-{number}") for number in range(3)]
    wait_for(lambda: all(one.began() for one in held))
    fourth = Held(step, "salt-3")
    said = ""
    assert fourth.process.stderr
    while "are busy" not in said:
        said = fourth.process.stderr.readline()
    assert f"all 3 pipelines of default/{step.name} are busy: job " in said
    assert {suffix: len(made) for suffix, made in jobs(step).items()} == {"": 1, "-2": 1, "-3": 1}
    assert not fourth.began()
    first = held.pop()
    freed = ran_in(first.end())
    wait_for(fourth.began)
    ended = [one.end() for one in held]
    assert ran_in(fourth.end()) == freed
    assert {ran_in(one) for one in ended} | {freed} == {f"{step.name}{one}" for one in ("", "-2", "-3")}
    everything = [job for made in jobs(step).values() for job in made]
    assert {job.state for job in everything} == {pps.JobState.JOB_SUCCESS}
    assert len(everything) == 4
