"""What a replay is going to do, made of records alone before anything is changed."""

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
    """One step that is made again.

    Args:
        original: its output commit.
        record: what stands there of how it was made.
        config: the step's config in the replay: project, pipeline and inputs are the replay's.
        inputs: input's name → the original's commits, in order.
        parameters: the component's parameters.
        artifacts: input artifact's name → the original's artifact.
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
        """The repo that the replay writes."""
        return f"{self.config.project}/{self.config.name}"


@dataclass(frozen=True)
class Plan:
    """A replay.

    Args:
        of: what was asked for.
        run: the KFP run that is made again; "": one step of it only.
        pipeline: name of the KFP pipeline that the replay is.
        steps: in the order in which they read from each other.
        notes: what is not recorded, or is not as it was.
        problems: why it can't be made; empty when it can.
    """

    of: str
    run: str
    pipeline: str
    steps: tuple[ReplayStep, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """The plan for people."""
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
