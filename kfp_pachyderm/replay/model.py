"""`Plan`: what a replay will run. It is made of records alone, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kfp_pachyderm.launcher.config import StepConfig
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.views.wording import plain
from kfp_pachyderm.provenance.kfp_page import shown
from kfp_pachyderm.provenance.record import Artifact, StepRecord


@dataclass(frozen=True)
class ReplayStep:
    """A step that the replay runs again.

    Args:
        original: the output commit of the original step.
        record: the record in that commit's metadata.
        config: the step's config in the replay, with the replay's project, pipeline and inputs.
        inputs: input → the commits that the original read, in their order.
        parameters: the arguments of the component's parameters.
        artifacts: input artifact → the artifact that the original read.
    """

    original: Reference
    record: StepRecord
    config: StepConfig
    inputs: dict[str, tuple[Reference, ...]]
    parameters: dict[str, Any]
    artifacts: dict[str, Artifact]

    @property
    def task(self) -> str:
        """The KFP task's name."""
        return self.record.task.task

    @property
    def target(self) -> str:
        """The repo that the step writes in the replay, project/repo."""
        return f"{self.config.project}/{self.config.name}"


@dataclass(frozen=True)
class Plan:
    """The plan of a replay.

    Args:
        of: the commit, job or KFP run that the user named.
        run: the ID of the KFP run that is replayed; "": one of its steps only.
        pipeline: the name of the replay's KFP pipeline.
        steps: the steps; each comes after the steps whose output it reads.
        notes: what the records do not hold, and what differs from the original run.
        problems: why the replay can't be made; empty if it can.
    """

    of: str
    run: str
    pipeline: str
    steps: tuple[ReplayStep, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yields the plan as lines for people."""
        whole = f"KFP run {self.run}" if self.run else f"one step of KFP run {self._runs()}"
        yield f"replay of {self.of}: {whole}, as KFP pipeline {self.pipeline}"
        made = {one.original: one for one in self.steps}
        for step in self.steps:
            yield f"step {step.task}: {step.original} again, into {step.target}"
            for name, commits in step.inputs.items():
                for commit in commits:
                    again = f"{made[commit].target}, made again" if commit in made else str(commit)
                    yield f"  input {name}: {again}"
            yield from (f"  parameter {name}: {plain(shown(one))}" for name, one in step.parameters.items())
            yield from (f"  artifact {name}: {one.uri}" for name, one in step.artifacts.items())
            yield f"  image {step.record.task.image}, component digest {step.record.task.digest}"
        yield from (f"not recorded: {one}" for one in self.notes)
        yield from (f"can't be made: {one}" for one in self.problems)

    def _runs(self) -> str:
        return ", ".join(dict.fromkeys(one.record.task.run for one in self.steps))
