"""Decides which inputs the snapshot of a run resolves, and which of its outputs each step reads."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

from kfp import components
from kfp.dsl import pipeline_channel
from kfp.dsl.types import type_utils

from kfp_pachyderm.authoring import loaded_components
from kfp_pachyderm.authoring.snapshot.conditions import may_be_skipped
from kfp_pachyderm.authoring.snapshot.early_pipelines import made_ahead
from kfp_pachyderm.authoring.snapshot.exit_handlers import inside, runs_last, scope_of
from kfp_pachyderm.authoring.snapshot.task import SNAPSHOT, component, known_settings
from kfp_pachyderm.authoring.spec import Connection
from kfp_pachyderm.authoring.step import S3EnabledComponent
from kfp_pachyderm.authoring.task_connection import connect, pip_arguments
from kfp_pachyderm.authoring.tasks import SnapshotChannel, StepTask, is_commit, qualified
from kfp_pachyderm.errors import SpecError
from kfp_pachyderm.launcher.bootstrap import PACKAGE_VARIABLE
from kfp_pachyderm.launcher.config import InputConfig, SnapshotConfig


class Snapshot:
    """The scope of one pipeline's body, and the task that resolves the inputs of its steps.

    Args:
        project: the project of steps that have none of their own.
        connection: the connection of steps that have none of their own.
        parameters: names of the pipeline's parameters.
        wanted: False: there is no snapshot task, and each step resolves its inputs itself.
    """

    def __init__(
        self, project: str, connection: Connection | None, parameters: frozenset[str], wanted: bool
    ) -> None:
        self.project, self.connection, self._wanted = project, connection, wanted
        self._parameters = parameters
        #: (argument, "" unless it holds a pipeline parameter; reference) → the output with its commit.
        self._outputs: dict[tuple[str, str], str] = {}
        #: The outputs that are lists.
        self._lists = set[str]()
        #: Those that an input of one commit reads.
        self._single = set[str]()
        self._tasks: list[tuple[S3EnabledComponent, StepTask]] = []

    def pin(self, step: S3EnabledComponent, one: InputConfig, value: Any) -> Any:
        """Returns a channel that will hold the commit, or the value itself.

        The value stays if it is a commit, or if it becomes known during the run only.
        """
        if not self._wanted or is_commit(value) or step.connection != self.connection:
            return value
        many = (
            one.many
            and isinstance(value, pipeline_channel.PipelineParameterChannel)
            and _type(value) == "LIST"
        )
        if not self._known_at_start(value, "LIST" if many else "STRING"):
            return value
        dynamic = bool(_channels(value))
        reference = qualified(one, step.config.project, "" if dynamic else value)
        key = (str(value) if dynamic else "", reference)
        name = self._outputs.setdefault(key, self._free_name(one.name if dynamic else reference))
        if many:
            self._lists.add(name)
        if not one.many:
            self._single.add(name)
        return SnapshotChannel(name, SNAPSHOT, value, many)

    def called(self, step: S3EnabledComponent, task: StepTask) -> None:
        """Registers a step that the pipeline's body has called, and its task."""
        self._tasks.append((step, task))

    def close(self, steps: list[StepTask]) -> None:
        """Makes the snapshot tasks that the steps need: one, and one more in each ExitHandler.

        Args:
            steps: the tasks of all steps, also of those whose components KFP loaded from compiled YAML.
        """
        _check_siblings(self._tasks)
        own = {id(task) for _, task in self._tasks}
        loaded_components.finish((task for task in steps if id(task) not in own), self.connection)
        for step, task in self._tasks:
            if runs_last(task):
                _release(task)
            else:
                self._warn_of_unwired(step, task)
        pinned = [(step, task) for step, task in self._tasks if any(_pinned(task))]
        for scope_ in {id(one): one for one in (scope_of(task) for _, task in pinned)}.values():
            with inside(scope_):
                self._make_task([(step, task) for step, task in pinned if scope_of(task) is scope_])

    def _make_task(self, pinned: list[tuple[S3EnabledComponent, StepTask]]) -> None:
        # The snapshot task takes the image and the Kubernetes settings of one of its steps. So it has what
        # the step has: the launcher in the image, image pull secrets, a volume of wheels, a folder to write
        # to. A step that is sure to run comes first: the image of a step that KFP leaves out may not exist.
        step, first = min(pinned, key=lambda one: may_be_skipped(one[1]))
        config, given = self._config(pinned)
        task = components.load_component_from_text(component(config, list(given), step, first))(**given)
        task.set_caching_options(False)
        task.set_env_variable(PACKAGE_VARIABLE, pip_arguments(self.connection))
        connect(task, self.connection)
        # These replace what connect() has set: the step's settings contain the connection's Secrets.
        task.platform_config = known_settings(first)
        for _, pinned_task in pinned:
            for _, channel in _pinned(pinned_task):
                channel.made_by(task)

    def _config(
        self, pinned: list[tuple[S3EnabledComponent, StepTask]]
    ) -> tuple[SnapshotConfig, dict[str, Any]]:
        """Returns the snapshot's config, and the arguments that hold parameters of the pipeline."""
        used = {channel.name: channel.given for _, task in pinned for _, channel in _pinned(task)}
        needed = {
            channel.name for _, task in pinned if not may_be_skipped(task) for _, channel in _pinned(task)
        }
        outputs = {name: key for key, name in self._outputs.items() if name in used}
        config = SnapshotConfig(
            project=self.project,
            references={name: reference for name, (_, reference) in outputs.items()},
            lists=tuple(name for name in outputs if name in self._lists),
            optional=tuple(name for name in outputs if name not in needed),
            elements=tuple(name for name in outputs if name not in self._lists | self._single),
            ahead=made_ahead(self._tasks, scope_of(pinned[0][1]), self.connection),
            address=self.connection.address if self.connection else None,
        )
        return config, {name: used[name] for name, (dynamic, _) in outputs.items() if dynamic}

    def _known_at_start(self, value: Any, kind: str) -> bool:
        """Returns whether the value consists of constants and pipeline parameters of that type only."""
        channels = _channels(value)
        if not channels:
            return isinstance(value, str)
        return all(
            one.task_name is None and one.name in self._parameters and _type(one) == kind for one in channels
        )

    def _free_name(self, text: str) -> str:
        name = re.sub(r"[^a-z0-9]+", "_", text.removeprefix(f"{self.project}/").lower()).strip("_")
        name = name if name[:1].isalpha() else f"input_{name}"
        taken = set(self._outputs.values())
        candidates = [name, *(f"{name}_{index}" for index in range(2, len(taken) + 3))]
        return next(one for one in candidates if one not in taken)

    def _warn_of_unwired(self, step: S3EnabledComponent, task: StepTask) -> None:
        makers = {
            (other.config.project, other.config.name or made.name): made.name
            for other, made in self._tasks
            if made is not task
        }
        left_out = {one.name for one in step.config.inputs if _left_out(one, task.inputs.get(one.name))}
        if step.connection != self.connection:
            return
        begins = "the run starts" if self._wanted else "it starts"
        for one in step.config.inputs:
            maker = makers.get((one.project or step.config.project, one.repo))
            if maker and one.name in left_out:
                warnings.warn(
                    f'Step "{task.name}" reads {one.repo}@{one.branch} as it is when {begins}, not '
                    f'what step "{maker}" of this run writes; in the first run it does not exist yet. To '
                    f'wire the two, pass {one.name.replace("-", "_")}=<task "{maker}">.outputs["commit"].',
                    stacklevel=5,
                )


def _check_siblings(tasks: list[tuple[S3EnabledComponent, StepTask]]) -> None:
    """Refuses tasks of two components that need one Pachyderm pipeline; tasks of one may share it."""
    users: dict[tuple[str, str], tuple[S3EnabledComponent, StepTask]] = {}
    for step, task in tasks:
        for name in step.config.pipelines(task.name):
            other, of = users.setdefault((step.config.project, name), (step, task))
            most = max(step.config.concurrency, other.config.concurrency)
            if most > 1 and other.config.component != step.config.component:
                raise SpecError(
                    f'Steps "{of.name}" and "{task.name}" both need the Pachyderm pipeline "{name}", as one '
                    f"with concurrency={most} has pipelines up to -{most}. Give one of them another name by "
                    "s3_enabled(name=...)."
                )


def _channels(value: Any) -> list[Any]:
    return list(pipeline_channel.extract_pipeline_channels_from_any(value))


def _type(channel: Any) -> str:
    found: str = type_utils.get_parameter_type_name(channel.channel_type)
    return found


def _left_out(one: InputConfig, value: Any) -> bool:
    """Returns whether the step was called without the input."""
    (only, *more) = value if isinstance(value, list) else [value]
    given = getattr(only, "given", only)
    usual = f"{one.repo}@{one.branch}" if one.many else ""
    # == on a KFP channel would build a condition.
    return not more and isinstance(given, str) and given == usual


def _pinned(task: StepTask) -> Iterator[tuple[str, SnapshotChannel]]:
    for name, value in list(task.inputs.items()):
        every = value if isinstance(value, list) else [value]
        yield from ((name, one) for one in every if isinstance(one, SnapshotChannel))


def _release(task: StepTask) -> None:
    """Makes an exit task independent of the snapshot: it resolves its branches when it runs, uncached.

    KFP lets the exit task of an ExitHandler depend on no other task. A task with `ignore_upstream_failure`
    runs after each task that it depends on (backend/src/v2/compiler/argocompiler/dag.go), so it would run
    after the snapshot, too.
    """
    for name, channel in _pinned(task):
        value = task.inputs[name]
        in_place = (
            [channel.given if one is channel else one for one in value] if isinstance(value, list) else []
        )
        task.inputs[name] = in_place or channel.given
        # == on KFP channels would build a condition.
        others = [one for one in task.channel_inputs if one is not channel]
        task.channel_inputs[:] = others + _channels(channel.given)
        task.set_caching_options(False)
