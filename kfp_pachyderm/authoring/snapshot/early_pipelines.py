"""Finds the steps whose Pachyderm pipelines the snapshot can make early: their input repos are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from kfp.dsl import pipeline_channel

from kfp_pachyderm.authoring.ir import COMMIT
from kfp_pachyderm.authoring.snapshot.conditions import may_be_skipped
from kfp_pachyderm.authoring.snapshot.exit_handlers import scope_of
from kfp_pachyderm.authoring.spec import Connection
from kfp_pachyderm.authoring.step import S3EnabledComponent
from kfp_pachyderm.authoring.tasks import SnapshotChannel, StepTask, qualified
from kfp_pachyderm.launcher.config import AheadConfig, InputConfig


def made_ahead(
    tasks: Iterable[tuple[S3EnabledComponent, StepTask]], scope: Any, connection: Connection | None
) -> tuple[AheadConfig, ...]:
    """Returns the steps that are sure to run and whose inputs' repos are known, in the order of their calls.

    A step that KFP may leave out is not among them: its pipeline would keep a worker that nothing uses.

    Args:
        tasks: the steps that the pipeline's body has called, and their tasks.
        scope: the group of the snapshot task (`exit_handlers.scope_of`), which makes pipelines for steps of
            this group only.
        connection: the snapshot's connection; a step with another one uses another Pachyderm.
    """
    every = {task.name: step for step, task in tasks}
    return tuple(
        one
        for step, task in tasks
        if step.connection == connection and scope_of(task) is scope and not may_be_skipped(task)
        for one in _made_ahead(step, task, every)
    )


def _made_ahead(
    step: S3EnabledComponent, task: StepTask, every: dict[str, S3EnabledComponent]
) -> Iterator[AheadConfig]:
    if any(one.many for one in step.config.inputs):
        return  # The commits of such an input are gathered in a repo that may not exist yet.
    read = {one.name: _source(step, one, task.inputs.get(one.name, ""), every) for one in step.config.inputs}
    known = {name: source for name, source in read.items() if source is not None}
    if known == read:
        yield AheadConfig(
            task.name, replace(step.config, address=None, digest="", image="", private=(), command=()), known
        )


def _source(
    step: S3EnabledComponent, one: InputConfig, value: Any, every: dict[str, S3EnabledComponent]
) -> str | None:
    """Returns what the input reads, as AheadConfig names it; None: it becomes known during the run."""
    if isinstance(value, SnapshotChannel):
        return str(value.name)
    if isinstance(value, pipeline_channel.PipelineParameterChannel):
        maker = every.get(value.task_name) if value.name == COMMIT else None
        # The pipeline needs the project and the repo only.
        return f"{maker.config.project}/{maker.config.pipeline(value.task_name)}@master" if maker else None
    if isinstance(value, str) and not pipeline_channel.extract_pipeline_channels_from_any(value):
        return qualified(one, step.config.project, value)
    return None
