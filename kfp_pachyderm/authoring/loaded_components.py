"""Completes steps in a decorated pipeline whose wrapped components KFP loads from compiled YAML.

KFP makes the tasks of such components itself, without `S3EnabledComponent`. The YAML does not say how the
step reaches Pachyderm. Its environment is a list: KFP 2.17 reads it as a list (kfp/dsl/structures.py) and
uses it as a dict (kfp/compiler/pipeline_spec_builder.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from kfp.dsl import pipeline_context

from kfp_pachyderm.authoring.git_source import compiled
from kfp_pachyderm.authoring.ir import environment, is_wrapped
from kfp_pachyderm.authoring.spec import Connection
from kfp_pachyderm.authoring.task_config import passthroughs
from kfp_pachyderm.authoring.task_connection import ADDRESS_VARIABLE, connect, pip_arguments
from kfp_pachyderm.authoring.tasks import StepTask, is_commit
from kfp_pachyderm.errors import SpecError
from kfp_pachyderm.launcher.bootstrap import PACKAGE_VARIABLE
from kfp_pachyderm.launcher.config import COMPILED_VARIABLE, StepConfig, loads
from kfp_pachyderm.provenance.kfp_task import config_text, is_step


@contextmanager
def noticed() -> Iterator[list[StepTask]]:
    """Turns each task of a wrapped component that is made within the block into a StepTask; yields them all.

    Tasks of the snapshot and of reusable components start the launcher, too, and stay as they are.
    """
    pipeline = pipeline_context.Pipeline.get_default_pipeline()
    add, made = pipeline.add_task, list[StepTask]()

    def add_task(task: Any, add_to_group: bool) -> Any:
        if is_wrapped(task) and is_step(_command(task)):
            container = task.component_spec.implementation.container
            container.env = environment(container.env)
            task.__class__ = StepTask
            made.append(task)
        return add(task=task, add_to_group=add_to_group)

    pipeline.add_task = add_task
    try:
        yield made
    finally:
        del pipeline.add_task


def finish(tasks: Iterable[StepTask], connection: Connection | None) -> None:
    """Gives loaded steps what `S3EnabledComponent` gives to its tasks: launcher, connection, caching off.

    Caching is off for a step that reads a branch, whose content may change.

    Args:
        tasks: the steps.
        connection: the pipeline's connection.

    Raises:
        SpecError: another release wrapped the component, and this one can't read its config.
    """
    for task in tasks:
        config = _config(task)
        if PACKAGE_VARIABLE not in (task.container_spec.env or {}):
            task.set_env_variable(PACKAGE_VARIABLE, pip_arguments(connection))
        task.set_env_variable(COMPILED_VARIABLE, compiled())
        _connect(task, config, connection)
        if not all(is_commit(task.inputs.get(one.name, "")) for one in config.inputs):
            task.set_caching_options(False)


def _command(task: Any) -> list[str]:
    return cast(list[str], task.component_spec.implementation.container.command)


def _config(task: StepTask) -> StepConfig:
    try:
        return cast(StepConfig, loads(config_text(_command(task))))
    except (ValueError, TypeError) as error:
        raise SpecError(
            f'Component of task "{task.name}" was made S3-enabled by another release of kfp-pachyderm '
            f"({error}). Wrap and compile it again with this one."
        ) from error


def _connect(task: StepTask, config: StepConfig, connection: Connection | None) -> None:
    address = connection.address if connection else None
    # A connection's token must not go to another server.
    if config.address not in (None, address):
        return
    connect(task, connection, volumes=not passthroughs(task.component_spec))
    if address and not config.address:
        task.set_env_variable(ADDRESS_VARIABLE, address)
