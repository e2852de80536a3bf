"""`s3_enabled`: a KFP component becomes a step that runs as an S3-enabled Pachyderm job."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, cast, overload

from kfp import components, dsl
from kfp.dsl import pipeline_channel

from kfp_pachyderm.connection import connect
from kfp_pachyderm.errors import CommitReferenceError, InputNameError, OutputNameError, SpecError
from kfp_pachyderm.ir import COMMIT, RECORD, ComponentIR, describe
from kfp_pachyderm.launcher.config import InputConfig, StepConfig
from kfp_pachyderm.spec import Connection, FileInput, HolderOptions, PipelineSpec, S3Input, names
from kfp_pachyderm.spec.holder import seconds
from kfp_pachyderm.spec.inputs import configs

_NAME = r"[a-zA-Z0-9_-]+"
_REFERENCE = re.compile(rf"(?P<project>{_NAME}/)?(?P<repo>{_NAME})@(?P<target>{_NAME}([\^~.][\^~.0-9]*)?)")
_COMMIT_ID = re.compile(r"[0-9a-f]{32}")


class Scope(Protocol):
    """What `kfp_pachyderm.pipeline` gives to the steps that are called in its body."""

    project: str
    connection: Connection | None

    def pin(self, step: S3EnabledComponent, one: InputConfig, value: Any) -> Any:
        """The value to pass instead, so that it is a commit when the step's cache key is made."""
        ...

    def called(self, step: S3EnabledComponent, task: StepTask) -> None:
        """Told of every step that was called."""
        ...


#: The scope of the pipeline whose body is running.
scope: ContextVar[Scope | None] = ContextVar("kfp_pachyderm_scope", default=None)


class SnapshotChannel(pipeline_channel.PipelineParameterChannel):  # type: ignore[misc]
    """An output of the snapshot task, which is made only after the pipeline's body has run.

    Args:
        name: the output.
        task_name: the snapshot task.
        given: what the step was called with; it stands again if the snapshot can't come before the step.
    """

    def __init__(self, name: str, task_name: str, given: Any) -> None:
        super().__init__(name=name, channel_type="String", task_name=task_name)
        self.given = given

    @property
    def task(self) -> Any:
        """The snapshot task; None while there is none, so that KFP lets an exit task have such an input."""
        return self.pipeline.tasks.get(self.task_name) if self.pipeline else None


class StepTask(dsl.PipelineTask):  # type: ignore[misc]
    """A task of a wrapped component: `.output` is what it is without the outputs that the wrapping adds."""

    @property
    def output(self) -> Any:
        """The single output of the original component."""
        own = [value for name, value in self.outputs.items() if name not in (COMMIT, RECORD)]
        return own[0] if len(own) == 1 else super().output


@dataclass(frozen=True)
class Step:
    """A wrapped component, before it is known in which project it runs.

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
        step: what is wrapped, and how.
        project: the Pachyderm project it runs in.
        connection: how it reaches Pachyderm.
    """

    def __init__(self, step: Step, project: str, connection: Connection | None) -> None:
        names.pipeline(step.config.name or step.original.name, project)
        self.step, self.connection = step, connection
        address = connection.address if connection else None
        self.config = replace(step.config, project=project, address=address)
        text = step.ir.wrapped(self.config)
        spec = components.load_component_from_text(text).component_spec
        _restore(spec, step)
        super().__init__(component_spec=spec, component_yaml=text)
        # The containerized executor looks for python_func, the decorators' users for pipeline_func.
        for attribute in ("python_func", "pipeline_func"):
            if hasattr(step.original, attribute):
                setattr(self, attribute, getattr(step.original, attribute))

    def __call__(self, *args: Any, **kwargs: Any) -> StepTask:
        """A task of the step, as the original component makes one; outside a pipeline it runs at once."""
        component = self._in(scope.get())
        given = {component._parameter(name): value for name, value in kwargs.items()}
        values = {
            one.name: component._pinned(one, given.get(one.name, "")) for one in component.config.inputs
        }
        # With positional arguments KFP refuses the call in its own words.
        task: Any = super(S3EnabledComponent, component).__call__(*args, **{**given, **values})
        # KFP makes the task itself, so its class is changed afterwards.
        task.__class__ = StepTask
        component._prepare(task, values)
        return cast(StepTask, task)

    def execute(self, **kwargs: Any) -> Any:
        """Runs the original's function, without Pachyderm."""
        return self.step.original.execute(**kwargs)

    def _in(self, where: Scope | None) -> S3EnabledComponent:
        """The same step with the project and connection of the pipeline, where it has none of its own."""
        project = self.step.project or (where.project if where else "default")
        connection = self.step.connection or (where.connection if where else None)
        if (project, connection) == (self.config.project, self.connection):
            return self
        return S3EnabledComponent(self.step, project, connection)

    def _parameter(self, name: str) -> str:
        """The input that is meant: Python has no dashes in names, buckets have no underscores."""
        dashed = name.replace("_", "-")
        return dashed if any(one.name == dashed for one in self.config.inputs) else name

    def _pinned(self, one: InputConfig, value: Any) -> Any:
        check_reference(one, value)
        where = scope.get()
        return where.pin(self, one, value) if where else value

    def _prepare(self, task: StepTask, values: dict[str, Any]) -> None:
        where = scope.get()
        if where:
            where.called(self, task)
        if task.state.name == "FINAL":  # It has run already, on this machine.
            return
        connect(task, self.connection)
        if not all(is_commit(value) for value in values.values()):
            task.set_caching_options(False)


def check_reference(one: InputConfig, value: Any) -> None:
    """Refuses a constant that is no commit reference.

    Raises:
        CommitReferenceError: the text can't be read.
    """
    if not isinstance(value, str) or not value or pipeline_channel.extract_pipeline_channels_from_any(value):
        return
    if not _REFERENCE.fullmatch(value):
        raise CommitReferenceError(
            f'Argument for input "{one.name}" is no commit reference. Got {value!r}: pass '
            f'"{one.repo}@<branch>", "<project>/{one.repo}@<branch>", "{one.repo}@<commit ID>", or another '
            'step\'s outputs["commit"].'
        )


def qualified(one: InputConfig, project: str, value: str) -> str:
    """The reference with its project; an empty one is the head of the input's branch."""
    reference = value or f"{one.repo}@{one.branch}"
    return reference if "/" in reference else f"{one.project or project}/{reference}"


def is_commit(value: Any) -> bool:
    """Whether the value is a commit when the run decides about caching, whatever the branches do."""
    if isinstance(value, str):
        found = _REFERENCE.fullmatch(value)
        return bool(found and _COMMIT_ID.fullmatch(found["target"]))
    if isinstance(value, pipeline_channel.OneOfMixin):
        return all(is_commit(channel) for channel in value.channels)
    if not isinstance(value, pipeline_channel.PipelineParameterChannel):
        return False
    return isinstance(value, SnapshotChannel) or (value.name == COMMIT and isinstance(value.task, StepTask))


def _restore(spec: Any, step: Step) -> None:
    """Puts back what reading IR loses: descriptions, exact types, the order of inputs, env as a dict."""
    original = step.original.component_spec
    added = {one.name: spec.inputs[one.name] for one in step.config.inputs}
    for one in step.config.inputs:
        added[one.name].description = describe(one)
    spec.description = original.description
    spec.inputs = {**(original.inputs or {}), **added}
    spec.outputs = {**(original.outputs or {}), **{name: spec.outputs[name] for name in (COMMIT, RECORD)}}
    spec.task_config_passthroughs = original.task_config_passthroughs
    container = spec.implementation.container
    if isinstance(container.env, list):
        container.env = {one["name"]: one.get("value", "") for one in container.env}


@overload
def s3_enabled(
    component: dsl.base_component.BaseComponent,
    *,
    inputs: Iterable[S3Input | FileInput] = ...,
    spec: PipelineSpec | None = ...,
    s3_out: bool = ...,
    name: str | None = ...,
    project: str | None = ...,
    gateway: Literal["adapter", "direct"] = ...,
    connection: Connection | None = ...,
    holder: HolderOptions = ...,
    timeout: float | None = ...,
) -> S3EnabledComponent: ...


@overload
def s3_enabled(
    component: None = None,
    *,
    inputs: Iterable[S3Input | FileInput] = ...,
    spec: PipelineSpec | None = ...,
    s3_out: bool = ...,
    name: str | None = ...,
    project: str | None = ...,
    gateway: Literal["adapter", "direct"] = ...,
    connection: Connection | None = ...,
    holder: HolderOptions = ...,
    timeout: float | None = ...,
) -> Callable[[dsl.base_component.BaseComponent], S3EnabledComponent]: ...


def s3_enabled(
    component: dsl.base_component.BaseComponent | None = None,
    *,
    inputs: Iterable[S3Input | FileInput] = (),
    spec: PipelineSpec | None = None,
    s3_out: bool = True,
    name: str | None = None,
    project: str | None = None,
    gateway: Literal["adapter", "direct"] = "adapter",
    connection: Connection | None = None,
    holder: HolderOptions = HolderOptions(),
    timeout: float | None = None,
) -> S3EnabledComponent | Callable[[dsl.base_component.BaseComponent], S3EnabledComponent]:
    """Makes a KFP component's task run as an S3-enabled Pachyderm job.

    Used as a decorator above `@dsl.component`, or as a function on any component with a command. The
    component stays what it is; each input adds an optional parameter that takes a commit reference
    (`images@master`, `vision/images@<commit ID>`, another step's `outputs["commit"]`; empty: the branch's
    head), and two outputs are added: `commit`, the step's output commit, and `pachyderm`, the record of the
    job.

    Args:
        component: the component; left out: a decorator is returned.
        inputs: the step's inputs, each an S3Input or a FileInput.
        spec: Pachyderm's pipeline spec to take inputs and further fields from, instead of `inputs`.
        s3_out: whether the step has an output bucket, `s3://out`; with `spec` both have to say so.
        name: the Pachyderm pipeline; None: the spec's, else the KFP task's name.
        project: the Pachyderm project; None: the spec's, else that of `kfp_pachyderm.pipeline`, else
            "default".
        gateway: "adapter" for the S3 endpoint in the step's container, "direct" for Pachyderm's own.
        connection: how the step reaches Pachyderm; None: that of `kfp_pachyderm.pipeline`.
        holder: image and time limits of the job's user code.
        timeout: seconds to wait for Pachyderm (commits, the job's start, its end); None: the launcher's
            default.

    Returns:
        A KFP component, called like the original; without `component` a decorator that makes one.

    Raises:
        TypeError: not a component, or one without a container (a pipeline, an importer).
        SpecError: a rule of Pachyderm's is broken; its subclasses name the kind.
    """

    def wrap(original: Any) -> S3EnabledComponent:
        ir = _checked_ir(original)
        config = StepConfig(
            component=original.name,
            inputs=_inputs(inputs, spec),
            name=name if name is not None or spec is None else spec.name,
            s3_out=s3_out and (spec is None or spec.s3_out),
            gateway=gateway,
            pipeline_spec=spec.further_fields() if spec else {},
            holder=holder.config(),
            timeout=None if timeout is None else seconds("timeout", timeout),
            digest=ir.digest(),
            image=ir.container["image"],
        )
        _check_names(original, config.inputs)
        own_project = project if project is not None or spec is None else spec.project
        checked_project = None if own_project is None else names.project(own_project)
        step = Step(original, ir, config, checked_project, connection)
        return S3EnabledComponent(step, checked_project or "default", connection)

    _check_options(spec, gateway, connection, holder)
    return wrap if component is None else wrap(component)


def _inputs(inputs: Iterable[S3Input | FileInput], spec: PipelineSpec | None) -> tuple[InputConfig, ...]:
    given = inputs if isinstance(inputs, (str, S3Input, FileInput)) else tuple(inputs)
    if spec is None:
        return configs(given)
    if given:
        raise SpecError('Pass either "inputs" or "spec", not both: the spec has inputs of its own.')
    return configs(spec.inputs())


def _check_options(spec: object, gateway: object, connection: object, holder: object) -> None:
    if gateway not in ("adapter", "direct"):
        raise SpecError(f'Argument for "gateway" must be "adapter" or "direct". Got {gateway!r}.')
    if spec is not None and not isinstance(spec, PipelineSpec):
        raise SpecError('Argument for "spec" must be a PipelineSpec. Use PipelineSpec.load(<path or text>).')
    if not isinstance(holder, HolderOptions):
        raise SpecError('Argument for "holder" must be HolderOptions(...).')
    check_connection(connection)


def check_connection(connection: object) -> None:
    """Refuses what is no connection, without showing it.

    Raises:
        SpecError: not a Connection.
    """
    if connection is not None and not isinstance(connection, Connection):
        raise SpecError('Argument for "connection" must be a Connection. Use Connection("grpc://host:port").')


def _checked_ir(original: Any) -> ComponentIR:
    if not isinstance(original, dsl.base_component.BaseComponent):
        hint = " Put @s3_enabled above @dsl.component." if callable(original) else ""
        raise TypeError(
            "s3_enabled takes a KFP component: from @dsl.component, @dsl.container_component or "
            f"components.load_component_from_*. Got {type(original).__name__}.{hint}"
        )
    if isinstance(original, S3EnabledComponent):
        raise TypeError(
            f'Component "{original.name}" is S3-enabled already. Put all inputs into one s3_enabled.'
        )
    if original.component_spec.implementation.container is None:
        raise TypeError(
            f'"{original.name}" is a pipeline or an importer, which runs no command of its own. Wrap the '
            "components in it."
        )
    ir = ComponentIR.of(original)
    if not ir.container.get("command"):
        raise SpecError(
            f'Component "{original.name}" has no command, and KFP does not use the image\'s ENTRYPOINT. '
            "Write the command into its ContainerSpec."
        )
    return ir


def _check_names(original: Any, inputs: tuple[InputConfig, ...]) -> None:
    own = {name.replace("-", "_"): name for name in original.component_spec.inputs or {}}
    for one in inputs:
        taken = own.get(one.name.replace("-", "_"))
        if taken:
            raise InputNameError(
                f'Input "{one.name}" is named like the parameter "{taken}" of component "{original.name}". '
                f'Pass another name: S3Input("{one.repo}", name=...), or rename the parameter.'
            )
    for output in (COMMIT, RECORD):
        if output in (original.component_spec.outputs or {}):
            raise OutputNameError(
                f'Component "{original.name}" has an output "{output}" already, which s3_enabled adds. '
                f"Rename it."
            )
