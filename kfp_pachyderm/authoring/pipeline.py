"""`pipeline`: what the steps of one KFP pipeline have in common, and one snapshot of their inputs."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar, overload

import yaml
from kfp import components
from kfp.dsl import pipeline_channel, pipeline_context
from kfp.dsl.types import type_utils

from kfp_pachyderm.authoring import loaded_components
from kfp_pachyderm.authoring.ir import launcher_command
from kfp_pachyderm.authoring.snapshot.conditions import may_be_skipped
from kfp_pachyderm.authoring.snapshot.early_pipelines import made_ahead
from kfp_pachyderm.authoring.snapshot.exit_handlers import inside, runs_last, scope_of
from kfp_pachyderm.authoring.spec import Connection, names
from kfp_pachyderm.authoring.spec.connection import check_connection
from kfp_pachyderm.authoring.step import S3EnabledComponent, scope
from kfp_pachyderm.authoring.task_config import on_the_pod
from kfp_pachyderm.authoring.task_connection import connect, pip_arguments
from kfp_pachyderm.authoring.tasks import SnapshotChannel, StepTask, is_commit, qualified
from kfp_pachyderm.errors import SpecError
from kfp_pachyderm.launcher.bootstrap import PACKAGE_VARIABLE
from kfp_pachyderm.launcher.config import InputConfig, SnapshotConfig

#: The task that resolves the inputs, and its component.
SNAPSHOT = "pachyderm-snapshot"
#: In a task's Kubernetes settings: what another task or a parameter decides.
_DECIDED_LATER = ("taskOutputParameter", "componentInputParameter")
#: kfp.local's SubprocessRunner runs only commands that name KFP's executor; the launcher ignores this text.
_RUN_ME_LOCALLY = "instead of kfp.dsl.executor_main"

P = ParamSpec("P")
R = TypeVar("R")


class Snapshot:
    """The scope of one pipeline's body, and the task that resolves the inputs of its steps.

    Args:
        project: the project of steps that have none of their own.
        connection: the connection of steps that have none of their own.
        parameters: names of the pipeline's parameters.
        wanted: False: every step resolves its inputs itself, there is no such task.
    """

    def __init__(
        self, project: str, connection: Connection | None, parameters: frozenset[str], wanted: bool
    ) -> None:
        self.project, self.connection, self._wanted = project, connection, wanted
        self._parameters = parameters
        #: What was passed (only if a pipeline parameter is in it) and the reference, to the output that
        #: holds it.
        self._outputs: dict[tuple[str, str], str] = {}
        #: Those of the outputs that are lists.
        self._lists = set[str]()
        self._tasks: list[tuple[S3EnabledComponent, StepTask]] = []

    def pin(self, step: S3EnabledComponent, one: InputConfig, value: Any) -> Any:
        """A channel that will hold the commit; the value itself where it is one, or is not known yet."""
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
        return SnapshotChannel(name, SNAPSHOT, value, many)

    def called(self, step: S3EnabledComponent, task: StepTask) -> None:
        """Remembers the step."""
        self._tasks.append((step, task))

    def close(self, steps: list[StepTask]) -> None:
        """Makes the snapshot tasks that the steps need: one, and one more in each ExitHandler.

        Args:
            steps: all steps, also those that others have wrapped.
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
        # It runs where its first step does: the launcher in the image, the right to pull that image, a volume
        # of wheels, a folder that may be written are there for both. That of a step which may be left out
        # need not be there at all.
        step, first = min(pinned, key=lambda one: may_be_skipped(one[1]))
        config, given = self._config(pinned)
        task = components.load_component_from_text(_component(config, list(given), step, first))(**given)
        task.set_caching_options(False)
        task.set_env_variable(PACKAGE_VARIABLE, pip_arguments(self.connection))
        connect(task, self.connection)
        # The connection's Secrets are among them.
        task.platform_config = _known_settings(first)
        for _, pinned_task in pinned:
            for _, channel in _pinned(pinned_task):
                channel.made_by(task)

    def _config(
        self, pinned: list[tuple[S3EnabledComponent, StepTask]]
    ) -> tuple[SnapshotConfig, dict[str, Any]]:
        """The snapshot's config, and the pipeline's parameters that it is given."""
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
            ahead=made_ahead(self._tasks, scope_of(pinned[0][1]), self.connection),
            address=self.connection.address if self.connection else None,
        )
        return config, {name: used[name] for name, (dynamic, _) in outputs.items() if dynamic}

    def _known_at_start(self, value: Any, kind: str) -> bool:
        """Whether the value is made of constants and pipeline parameters of that type only."""
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
    """Two tasks of one component may share pipelines; one of another component would find them taken."""
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
    """Whether the step was called without the input."""
    (only, *more) = value if isinstance(value, list) else [value]
    given = getattr(only, "given", only)
    usual = f"{one.repo}@{one.branch}" if one.many else ""
    # A channel makes a condition of ==.
    return not more and isinstance(given, str) and given == usual


def _pinned(task: StepTask) -> Iterator[tuple[str, SnapshotChannel]]:
    for name, value in list(task.inputs.items()):
        every = value if isinstance(value, list) else [value]
        yield from ((name, one) for one in every if isinstance(one, SnapshotChannel))


def _release(task: StepTask) -> None:
    """An exit task must not depend on the snapshot: it reads what its branches hold when it runs, uncached.

    KFP lets the task of an ExitHandler depend on no other, and hangs one that ignores failures on each task
    that it depends on (backend/src/v2/compiler/argocompiler/dag.go): it would run after the snapshot, too.
    """
    for name, channel in _pinned(task):
        value = task.inputs[name]
        in_place = (
            [channel.given if one is channel else one for one in value] if isinstance(value, list) else []
        )
        task.inputs[name] = in_place or channel.given
        # Channels can't be compared by ==, which builds a condition.
        others = [one for one in task.channel_inputs if one is not channel]
        task.channel_inputs[:] = others + _channels(channel.given)
        task.set_caching_options(False)


def _known_settings(task: StepTask) -> dict[str, Any]:
    """A task's Kubernetes settings as far as they are known at the start."""

    def known(value: Any) -> bool:
        return not any(later in json.dumps(value) for later in _DECIDED_LATER)

    settings = copy.deepcopy(on_the_pod(task))
    for name, value in settings.items():
        if isinstance(value, list):
            settings[name] = [one for one in value if known(one)]
    return {"kubernetes": {name: value for name, value in settings.items() if value and known(value)}}


def _parameter(config: SnapshotConfig, name: str) -> dict[str, str]:
    if name in config.lists:
        return {"type": "JsonArray", "default": "[]"}
    return {"type": "String", "default": ""}


def _component(
    config: SnapshotConfig, parameters: list[str], step: S3EnabledComponent, task: StepTask
) -> str:
    """The snapshot's component; KFP's component.yaml is the shortest public form that it reads."""
    image = task.container_spec.image
    return yaml.safe_dump(
        {
            "name": SNAPSHOT,
            "description": "Resolves the branches that this run reads, once for all its steps.",
            "inputs": [{"name": name, **_parameter(config, name)} for name in parameters],
            "outputs": [
                {"name": name, "type": _parameter(config, name)["type"]} for name in config.references
            ],
            "implementation": {
                "container": {
                    "image": step.config.image if "{{" in image else image,
                    "command": launcher_command(config, step.step.ir.container["command"]),
                    "args": [_RUN_ME_LOCALLY],
                }
            },
        }
    )


@overload
def pipeline(func: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def pipeline(
    *, project: str = "default", connection: Connection | None = None, snapshot: bool = True
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def pipeline(
    func: Any = None,
    /,
    *,
    project: str = "default",
    connection: Connection | None = None,
    snapshot: bool = True,
) -> Any:
    """Gives the steps of a KFP pipeline one project, one connection and one snapshot of their inputs.

    Stands under `@dsl.pipeline`, on the function. Every input that is left out, that is a branch, or that
    comes from a parameter of the pipeline is resolved once per run, by the task `pachyderm-snapshot`, to
    its newest good commit; the steps get the commits, so that all of them see the same data and KFP's cache
    knows commits, not branches. What only steps below a condition, or in a loop over what is not known yet,
    read and what can't be resolved at once does not fail the run: such a step resolves it when it runs.
    There is no such task when nothing has to be resolved: `repo@<commit ID>` and other steps'
    `outputs["commit"]` are passed on as they are. Not pinned, and so not cached: a step with an input that
    only becomes known during the run (another task's output, a loop's item), one with a connection of its
    own, and an exit task (also one by `ignore_upstream_failure`). Steps in a `dsl.ExitHandler` have a
    snapshot of their own in it, so that the exit task runs when that snapshot fails.

    The same task makes the Pachyderm pipelines of the steps that are sure to run, as far as their inputs'
    repos are known, so that workers start before the steps do. A step relies on none of it.

    An input that is left out means the branch's head when the run starts, also where another step of the
    same pipeline writes that repo: such an input does not wait for that step, and in a first run the repo
    may not exist yet. Pass the step's `outputs["commit"]` to wire the two; a warning says where this was
    likely meant. A nested pipeline has its own decorator and takes its own snapshot when it starts.

    Args:
        func: the function, when used without parentheses.
        project: the Pachyderm project of steps that have none of their own.
        connection: how steps that have none of their own reach Pachyderm.
        snapshot: False: no such task, which saves a run its time. Every step then resolves its branches when
            it starts, so that steps of one run may see different commits, and is not cached; pipelines are
            made by the steps themselves.

    Returns:
        The function, for `@dsl.pipeline`.

    Raises:
        TypeError: not used on a function under `@dsl.pipeline`.
        SpecError: no project name, or no connection.
    """
    names.project(project)
    check_connection(connection)

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        _check_function(body)

        @functools.wraps(body)
        def scoped(*args: Any, **kwargs: Any) -> Any:
            _check_inside(body)
            channels = [
                one for one in (*args, *kwargs.values()) if isinstance(one, pipeline_channel.PipelineChannel)
            ]
            taken = Snapshot(project, connection, frozenset(one.name for one in channels), snapshot)
            token = scope.set(taken)
            try:
                with loaded_components.noticed() as steps:
                    result = body(*args, **kwargs)
            finally:
                scope.reset(token)
            taken.close(steps)
            return result

        scoped.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]
        return scoped

    return decorate if func is None else decorate(func)


def _check_function(body: object) -> None:
    if not inspect.isfunction(body):
        raise TypeError(
            "kfp_pachyderm.pipeline takes the function of a pipeline. "
            f"Got {type(body).__name__}: put it under @dsl.pipeline, right above the def."
        )


def _check_inside(body: Callable[..., Any]) -> None:
    if pipeline_context.Pipeline.get_default_pipeline() is None:
        name = getattr(body, "__name__", "the function")
        raise TypeError(
            f'"{name}" was called outside of a KFP pipeline. Put @dsl.pipeline above @pachyderm.pipeline.'
        )
