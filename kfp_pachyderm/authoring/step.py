"""The component that `s3_enabled` makes: the original with the launcher before its command."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from kfp import components

from kfp_pachyderm.authoring.commit_lists import check_many
from kfp_pachyderm.authoring.git_source import compiled
from kfp_pachyderm.authoring.ir import ADDED, ComponentIR, describe, environment
from kfp_pachyderm.authoring.spec import Connection, names
from kfp_pachyderm.authoring.task_config import environment_of, passthroughs, with_environment
from kfp_pachyderm.authoring.task_connection import connect, pip_arguments
from kfp_pachyderm.authoring.tasks import StepTask, check_reference, is_commit
from kfp_pachyderm.launcher.bootstrap import PACKAGE_VARIABLE
from kfp_pachyderm.launcher.config import COMPILED_VARIABLE, InputConfig, StepConfig


class Scope(Protocol):
    """What the steps know of the decorated pipeline whose body calls them."""

    project: str
    connection: Connection | None

    def pin(self, step: S3EnabledComponent, one: InputConfig, value: Any) -> Any:
        """Returns the value to pass instead: a commit by the time when KFP makes the step's cache key."""
        ...

    def called(self, step: S3EnabledComponent, task: StepTask) -> None:
        """Registers a step that the pipeline's body has called, and its task."""
        ...


#: The scope of the pipeline whose body is running.
scope: ContextVar[Scope | None] = ContextVar("kfp_pachyderm_scope", default=None)


@dataclass(frozen=True)
class Step:
    """A wrapped component whose project and connection may still be the pipeline's to decide.

    Args:
        original: the component as the user built it.
        ir: its IR.
        config: the step's config, without project and address.
        project: the step's own project; None: the pipeline's.
        connection: the step's own connection; None: the pipeline's.
    """

    original: Any
    ir: ComponentIR
    config: StepConfig
    project: str | None
    connection: Connection | None


class S3EnabledComponent(components.YamlComponent):  # type: ignore[misc]
    """A KFP component whose task runs as a Pachyderm job; called like the original.

    Args:
        step: the original component, and the step's settings.
        project: the Pachyderm project that the step runs in.
        connection: how the step reaches Pachyderm; None: by the namespace's default.
    """

    def __init__(self, step: Step, project: str, connection: Connection | None) -> None:
        if step.config.name is not None:
            names.step_pipeline(step.config.name, project, step.config.concurrency)
        self.step, self.connection = step, connection
        address = connection.address if connection else None
        self.config = replace(step.config, project=project, address=address)
        # KFP 2.17 reads the environment of a loaded component as a list (kfp/dsl/structures.py), and uses it
        # as a dict (kfp/compiler/pipeline_spec_builder.py). So the text has the variable only where it must.
        named = connection is not None and connection.package is not None
        text = step.ir.wrapped(self.config, pip_arguments(connection) if named else None)
        spec = components.load_component_from_text(text).component_spec
        _restore(spec, step)
        container = spec.implementation.container
        # A value that the component itself sets takes effect.
        container.env = {PACKAGE_VARIABLE: pip_arguments(connection), **(container.env or {})}
        super().__init__(component_spec=spec, component_yaml=text)
        # KFP's containerized executor reads python_func, users of the decorators read pipeline_func.
        for attribute in ("python_func", "pipeline_func"):
            if hasattr(step.original, attribute):
                setattr(self, attribute, getattr(step.original, attribute))

    def __call__(self, *args: Any, **kwargs: Any) -> StepTask:
        """Makes a task of the step, as the original component does; outside of a pipeline it runs at once."""
        component = self._in(scope.get())
        given = {component._parameter(name): value for name, value in kwargs.items()}
        values = {
            one.name: component._pinned(one, given.get(one.name, "")) for one in component.config.inputs
        }
        # KFP refuses positional arguments, with an error of its own.
        task: Any = super(S3EnabledComponent, component).__call__(*args, **{**given, **values})
        # KFP makes the task itself, so its class is changed afterwards.
        task.__class__ = StepTask
        component._prepare(task, values)
        return cast(StepTask, task)

    def execute(self, **kwargs: Any) -> Any:
        """Runs the original component's function, without Pachyderm."""
        return self.step.original.execute(**kwargs)

    def _in(self, where: Scope | None) -> S3EnabledComponent:
        """Returns the step with the pipeline's project and connection, where the step has none of its own."""
        project = self.step.project or (where.project if where else "default")
        connection = self.step.connection or (where.connection if where else None)
        if (project, connection) == (self.config.project, self.connection):
            return self
        return S3EnabledComponent(self.step, project, connection)

    def _parameter(self, name: str) -> str:
        """Returns the name of the input: names of Python have no dashes, buckets have no underscores."""
        dashed = name.replace("_", "-")
        return dashed if any(one.name == dashed for one in self.config.inputs) else name

    def _pinned(self, one: InputConfig, value: Any) -> Any:
        where = scope.get()
        if one.many:
            # == on a KFP channel would build a condition.
            left_out = isinstance(value, str) and not value
            return self._pinned_list(one, [f"{one.repo}@{one.branch}"] if left_out else value, where)
        check_reference(one, value)
        return where.pin(self, one, value) if where else value

    def _pinned_list(self, one: InputConfig, value: Any, where: Scope | None) -> Any:
        check_many(one, value)
        if where is None:
            return value
        if isinstance(value, list):
            return [where.pin(self, one, each) for each in value]
        return where.pin(self, one, value)

    def _prepare(self, task: StepTask, values: dict[str, Any]) -> None:
        where = scope.get()
        if where:
            where.called(self, task)
        if task.state.name == "FINAL":  # kfp.local has run the task already.
            return
        task.set_env_variable(COMPILED_VARIABLE, compiled())
        asked = passthroughs(self.step.original.component_spec)
        # KFP refuses volumes on a task whose component has task_config_passthroughs that do not list volumes.
        connect(task, self.connection, volumes=not asked)
        task.takes_environment = not asked or bool(environment_of(asked))
        if not all(is_commit(value) for value in values.values()):
            task.set_caching_options(False)


def _restore(spec: Any, step: Step) -> None:
    """Puts back what KFP loses when it reads IR: descriptions, exact types, inputs' order, env as a dict."""
    original = step.original.component_spec
    added = {one.name: spec.inputs[one.name] for one in step.config.inputs}
    for one in step.config.inputs:
        added[one.name].description = describe(one)
    spec.description = original.description
    spec.inputs = {**(original.inputs or {}), **added}
    spec.outputs = {**(original.outputs or {}), **{name: spec.outputs[name] for name in ADDED}}
    if hasattr(original, "task_config_passthroughs"):  # not in kfp 2.14
        spec.task_config_passthroughs = with_environment(original.task_config_passthroughs)
    container = spec.implementation.container
    container.env = environment(container.env)
