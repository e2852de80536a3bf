"""Jobs of one step side by side, each in a pipeline of its own."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from launcher_steps import LEASE, Ended, Runner, put  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import HolderConfig, StepConfig
from kfp_pachyderm.pachd.pipeline_plan import SIBLING_KEY
from kfp_pachyderm.pachd.sdk import pps, transaction
from tests.faults.fault_pachd import FaultyPachd
from tests.long import long
from tests.waiting import wait_for

State = pps.JobState
#: Says that it runs, then waits until it may end.
HOLD = """
import os, time
open({began!r}, "w").close()
while not os.path.exists({gate!r}):
    time.sleep(0.02)
"""


def config(step: Runner, **options: Any) -> StepConfig:
    made: StepConfig = step.config(**{"concurrency": 3, "gateway": "direct", **options})
    return made


class Held:
    """An iteration that runs until its gate is opened."""

    def __init__(self, step: Runner, salt: str, **options: Any) -> None:
        self.step = step.iteration(salt)
        self._began, self._gate = self.step.folder / "began", self.step.folder / "gate"
        self.process = self.attempt(**options)

    def attempt(self, **options: Any) -> subprocess.Popen[str]:
        """The launcher, as KFP starts it."""
        code = HOLD.format(began=str(self._began), gate=str(self._gate))
        process: subprocess.Popen[str] = self.step.start(code, config(self.step, **options))
        return process

    def began(self) -> bool:
        if self.process.poll() is not None and not self._began.exists():
            self.step.end(self.process)
            raise AssertionError("it ended before its command began")
        return self._began.exists()

    def let_go(self) -> None:
        self._gate.touch()

    def hear(self, text: str) -> str:
        """The line of its log that holds the text."""
        assert self.process.stderr
        return next(line for line in self.process.stderr if text in line)

    def end(self) -> Ended:
        self.let_go()
        ended: Ended = self.step.end(self.process)
        assert ended.code == 0
        return ended


def held(step: Runner, number: int, **options: Any) -> list[Held]:
    """As many that run side by side, begun at once."""
    every = [Held(step, f"salt-{one}", **options) for one in range(number)]
    wait_for(lambda: all(one.began() for one in every))
    return every


def two(step: Runner, **options: Any) -> tuple[Held, Held]:
    """Two that run side by side: the first in `edges`, the other in `edges-2`."""
    first = Held(step, "first", **options)
    wait_for(first.began)
    second = Held(step, "second", **options)
    wait_for(second.began)
    return first, second


def pipelines(step: Runner) -> dict[str, pps.PipelineInfo]:
    every = step.pachd.pps.list_pipeline(details=True)
    ours = [one for one in every if one.pipeline.name.startswith(step.name)]
    return {one.pipeline.name.removeprefix(step.name): one for one in ours}


def jobs(step: Runner) -> dict[str, list[pps.JobInfo]]:
    """Jobs of each pipeline, oldest first."""
    return {
        suffix: list(step.pachd.pps.list_job(pipeline=one.pipeline, history=-1, reverse=True))
        for suffix, one in pipelines(step).items()
    }


def none_waited(step: Runner) -> int:
    """How many jobs there are; each was made when the one before it had ended, and none was taken back."""
    every = list(jobs(step).values())
    for made in every:
        assert all(after.created >= before.finished for before, after in itertools.pairwise(made))
    assert {one.state for made in every for one in made} == {State.JOB_SUCCESS}
    return sum(map(len, every))


def ran_in(ended: Ended) -> str:
    (line,) = [line for line in ended.out.splitlines() if line.startswith("[kfp-pachyderm] job=")]
    return str(line.split("pipeline=default/")[1].split()[0])


def test_as_many_run_at_once_as_there_may_be_and_the_next_says_what_it_waits_for(step: Runner) -> None:
    step.fill()
    first, *others = held(step, 3)
    fourth = Held(step, "salt-3")
    said = fourth.hear("are busy")
    made = {suffix: one[0].job.id for suffix, one in jobs(step).items()}
    ahead = ", ".join(f"job {made[one]} of {step.name}{one}" for one in ("", "-2", "-3"))
    assert (
        f"all 3 pipelines of default/{step.name} are busy: {ahead}; waiting for the first that ends" in said
    )
    assert {suffix: len(one) for suffix, one in jobs(step).items()} == {"": 1, "-2": 1, "-3": 1}
    freed = ran_in(first.end())
    wait_for(fourth.began)
    every = [one.end() for one in (*others, fourth)]
    assert {ran_in(one) for one in every} == {f"{step.name}{one}" for one in ("", "-2", "-3")}
    assert ran_in(every[-1]) == freed
    for one in (*others, fourth):
        # the repo that was really written
        assert (one.step.folder / "commit").read_text() in {
            f"default/{step.name}{suffix}@{job.job.id}" for suffix, of in jobs(step).items() for job in of
        }
    assert none_waited(step) == 4


@long
def test_two_runs_of_ten_with_three_pipelines(step: Runner) -> None:
    step.fill()
    salts = [f"run-{run}-{number}" for run in range(2) for number in range(10)]
    runs = [step.iteration(salt) for salt in salts]
    started = [one.start("pass", config(one)) for one in runs]
    every = [one.end(process) for one, process in zip(runs, started, strict=True)]
    assert [one.code for one in every] == [0] * 20
    assert none_waited(step) == 20
    assert set(jobs(step)) == {"", "-2", "-3"}
    assert {one.version for one in pipelines(step).values()} == {1}
    assert list(step.pachd.transactions.list_transaction().transaction_info) == []


def test_a_killed_iteration_frees_its_pipeline(step: Runner) -> None:
    step.fill()
    short = HolderConfig(lease=LEASE, attach_timeout=LEASE)
    killed, other = held(step, 2, holder=short, concurrency=2)
    third = Held(step, "salt-2", holder=short, concurrency=2)
    third.hear("are busy")
    killed.process.send_signal(signal.SIGKILL)
    wait_for(third.began)
    assert not other.process.poll()
    for one in (third, other):
        one.end()
    states = sorted(job.state for made in jobs(step).values() for job in made)
    assert states == sorted([State.JOB_SUCCESS, State.JOB_SUCCESS, State.JOB_FAILURE])


def test_another_attempt_stops_the_job_of_the_one_before_in_whichever_pipeline(step: Runner) -> None:
    step.fill()
    every = two(step)
    second = every[1]
    second.process.send_signal(signal.SIGKILL)
    second.process = second.attempt()
    second.hear("stopping job")
    for one in every:
        one.end()
    states = sorted(job.state for made in jobs(step).values() for job in made)
    assert states == sorted([State.JOB_SUCCESS, State.JOB_SUCCESS, State.JOB_KILLED])


def test_a_changed_spec_waits_for_one_pipeline_and_kills_no_job(step: Runner) -> None:
    step.fill()
    every = held(step, 3)
    changed = Held(step, "changed", holder=HolderConfig(lease=31.0))
    changed.hear("are busy")
    assert {one.version for one in pipelines(step).values()} == {1}
    every.pop().end()
    wait_for(changed.began)
    for one in (changed, *every):
        one.end()
    assert sorted(one.version for one in pipelines(step).values()) == [1, 1, 2]
    assert none_waited(step) == 4


def test_what_is_idle_is_found_again_and_marked_as_ours(step: Runner) -> None:
    step.fill()
    for one in two(step):
        one.end()
    assert step.iteration("next-run").run("pass", config(step)).code == 0
    assert none_waited(step) == 3
    made = pipelines(step)
    assert {suffix: one.version for suffix, one in made.items()} == {"": 1, "-2": 1}
    marks = {suffix: one.details.metadata.annotations.get(SIBLING_KEY) for suffix, one in made.items()}
    assert marks == {"": None, "-2": step.name}


def test_a_pipeline_that_knows_no_turns_is_used_on(step: Runner) -> None:
    step.fill()
    assert step.iteration("before").run("pass", step.config()).code == 0
    for one in held(step, 3):
        one.end()
    assert none_waited(step) == 4
    assert {suffix: one.version for suffix, one in pipelines(step).items()} == {"": 1, "-2": 1, "-3": 1}
    # and the other way round
    assert step.iteration("after").run("pass", step.config()).code == 0
    assert pipelines(step)[""].version == 1


def test_the_second_task_of_a_component_shares_what_has_its_name(step: Runner) -> None:
    """KFP calls it `edges-2`: so is called the second pipeline of the first."""
    step.fill()
    for one in two(step):
        one.end()
    ended = step.iteration("task-2").run("pass", step.config(name=f"{step.name}-2"))
    assert (ended.code, ran_in(ended)) == (0, f"{step.name}-2")
    assert {suffix: one.version for suffix, one in pipelines(step).items()} == {"": 1, "-2": 1}


def test_the_pipeline_that_reads_the_same_repo_is_taken(step: Runner) -> None:
    """Commits of a step before it with concurrency, too, lie in several repos."""
    repos = [f"in-{step.name}", f"in-{step.name}-2"]
    for repo in repos:
        put(step.pachd, repo, {"a": b"A"})
    items = [step.iteration(f"salt-{number}") for number in range(6)]
    for number, one in enumerate(items):
        assert one.run("pass", config(step), images=f"{repos[number % 2]}@master").code == 0
    made = pipelines(step)
    assert {suffix: one.version for suffix, one in made.items()} == {"": 1, "-2": 1}
    assert [made[suffix].details.input.pfs.repo for suffix in ("", "-2")] == repos
    assert none_waited(step) == 6


def test_somebody_elses_repo_among_the_names_is_refused_before_anything_is_made(step: Runner) -> None:
    step.fill()
    put(step.pachd, f"{step.name}-3", {"a": b"theirs"})
    ended = step.run("pass", config(step))
    assert ended.code == 1
    assert f"PipelineNotOwnedError: default/{step.name}-3 is a repo already" in ended.err
    assert pipelines(step) == {}


def test_the_steps_own_name_is_the_output_in_each_of_its_pipelines(step: Runner) -> None:
    step.fill()
    (first,) = held(step, 1, gateway="adapter")
    code = f"import boto3; boto3.client('s3').put_object(Bucket={step.name!r}, Key='a', Body=b'A')"
    ended = step.iteration("second").run(code, config(step, gateway="adapter"))
    assert (ended.code, ran_in(ended)) == (0, f"{step.name}-2")
    first.end()
    written = json.loads((ended.folder / "output_metadata.json").read_text())
    (record,) = written["artifacts"]["pachyderm"]["artifacts"]
    known = record["metadata"]
    assert (known["pipeline"], known["sibling_of"]) == (f"{step.name}-2", step.name)
    assert known["output_commit"] == (ended.folder / "commit").read_text()
    assert f"one of the pipelines of step `{step.name}`" in (ended.folder / "pachyderm").read_text()


@pytest.fixture
def proxy(step: Runner) -> Iterator[FaultyPachd]:
    """In front of pachd for steps whose pipeline is there, and its turn is."""
    step.fill()
    assert step.iteration("before").run("pass", config(step)).code == 0
    with FaultyPachd(step.address.removeprefix("grpc://")) as one:
        step.address = f"grpc://{one.address}"
        yield one


@pytest.mark.parametrize("carried_out", [True, False])
def test_one_job_is_made_when_pachds_answer_is_lost(
    step: Runner, proxy: FaultyPachd, carried_out: bool
) -> None:
    proxy.lose("BatchTransaction", [carried_out])
    ended = step.iteration("salt").run("pass", config(step))
    assert (ended.code, ran_in(ended)) == (0, step.name)
    assert none_waited(step) == 2


def test_a_step_that_waits_ends_on_a_signal_and_has_made_nothing(step: Runner) -> None:
    step.fill()
    every = held(step, 2, concurrency=2)
    waits = Held(step, "salt-2", concurrency=2)
    waits.hear("are busy")
    waits.process.send_signal(signal.SIGTERM)
    assert step.end(waits.process).code == 128 + signal.SIGTERM
    for one in every:
        one.end()
    assert none_waited(step) == 2


def test_a_pipeline_that_can_not_run_is_left_alone(step: Runner) -> None:
    name = f"{step.name}-2"

    def rewrite(method: str, answer: bytes) -> bytes:
        if method == "InspectPipeline" and (info := pps.PipelineInfo().parse(answer)).pipeline.name == name:
            info.state, info.reason = pps.PipelineState.PIPELINE_FAILURE, "no room"
            return bytes(info)
        if method == "InspectJob" and (job := pps.JobInfo().parse(answer)).job.pipeline.name == name:
            job.details.worker_status = []
            return bytes(job)
        return answer

    step.fill()
    first = Held(step, "first")
    wait_for(first.began)
    with FaultyPachd(step.address.removeprefix("grpc://"), rewrite) as proxy:
        step.address = f"grpc://{proxy.address}"
        second = Held(step, "second", holder=HolderConfig(attach_timeout=600.0))
        second.hear(f"pipeline default/{name} can't run: no room; looking for another")
        assert f"of {step.name}, or can't run: {name} (no room); waiting" in second.hear("are busy")
        first.end()
        wait_for(second.began)
        third = step.iteration("third").run("pass", config(step, holder=HolderConfig(attach_timeout=600.0)))
        assert (third.code, ran_in(third)) == (0, f"{step.name}-3")
        second.let_go()
        assert step.end(second.process).code == 0
    ended = {suffix: [job.state for job in made] for suffix, made in jobs(step).items()}
    assert ended == {"": [State.JOB_SUCCESS] * 2, "-2": [State.JOB_KILLED], "-3": [State.JOB_SUCCESS]}


def test_a_pipeline_that_another_step_made_while_its_own_making_failed_is_taken(step: Runner) -> None:
    step.fill()
    address = step.address
    others: list[Held] = []

    def be_quicker() -> None:
        others.append(Held(replace(step, address=address), "quicker"))
        wait_for(others[0].began)

    with FaultyPachd(address.removeprefix("grpc://")) as proxy:
        proxy.before("CreateBranch", be_quicker)
        proxy.lose("CreateBranch", [False])
        step.address = f"grpc://{proxy.address}"
        slower = step.iteration("slower").run("pass", config(step))
    assert slower.code == 0
    assert ran_in(slower) in {f"{step.name}-2", f"{step.name}-3"}
    others[0].end()
    assert none_waited(step) == 2


@pytest.fixture
def both(step: Runner) -> Iterator[FaultyPachd]:
    """In front of pachd for steps that have two pipelines, both free."""
    step.fill()
    for one in two(step):
        one.end()
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        step.address = f"grpc://{proxy.address}"
        yield proxy


def test_a_claim_that_fails_for_pachyderms_own_reasons_looks_at_the_other_pipelines(
    step: Runner, both: FaultyPachd
) -> None:
    crowded: list[str] = []

    def refused(request: bytes) -> bool:
        asked = transaction.BatchTransactionRequest().parse(request).requests[0].delete_branch.branch
        crowded[:] = crowded or [asked.repo.name]
        return [asked.repo.name] == crowded

    both.refuse("BatchTransaction", refused)
    ended = step.iteration("salt").run("pass", config(step, concurrency=2))
    assert ended.code == 0
    assert {ran_in(ended), *crowded} == {step.name, f"{step.name}-2"}
    assert "current transaction is aborted" in ended.err
    assert none_waited(step) == 3


def test_a_job_that_pachd_makes_after_it_was_given_up_is_the_only_one_or_is_stopped(
    step: Runner, both: FaultyPachd
) -> None:
    late = both.answer_too_early("BatchTransaction")

    def carry_out() -> None:
        late.set()
        wait_for(lambda: not late.is_set())

    # by the second claim, when the first has been given up
    both.before("BatchTransaction", lambda: both.before("BatchTransaction", carry_out))
    ended = step.iteration("salt").run("pass", config(step, concurrency=2))
    assert ended.code == 0

    def states() -> list[State]:
        return sorted(job.state for made in jobs(step).values() for job in made)

    wait_for(lambda: set(states()) <= {State.JOB_SUCCESS, State.JOB_KILLED})
    assert states().count(State.JOB_SUCCESS) == 3
    assert len(states()) <= 4
