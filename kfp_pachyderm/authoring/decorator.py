"""`s3_enabled`: a KFP component becomes a step that runs as an S3-enabled Pachyderm job."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, overload

from kfp import dsl

from kfp_pachyderm.authoring.ir import ADDED, ComponentIR, is_wrapped
from kfp_pachyderm.authoring.spec import Connection, FileInput, HolderOptions, PipelineSpec, S3Input, names
from kfp_pachyderm.authoring.spec.connection import check_connection
from kfp_pachyderm.authoring.spec.holder import seconds
from kfp_pachyderm.authoring.spec.inputs import configs
from kfp_pachyderm.authoring.step import S3EnabledComponent, Step
from kfp_pachyderm.authoring.task_config import environment_of, parameters, passthroughs
from kfp_pachyderm.errors import InputNameError, OutputNameError, SpecError
from kfp_pachyderm.launcher.config import InputConfig, StepConfig


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
    verify: Literal["content", "size"] = ...,
    keys: Literal["refuse", "encode"] = ...,
    concurrency: int = ...,
    private: Iterable[str] = ...,
    share: bool = ...,
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
    verify: Literal["content", "size"] = ...,
    keys: Literal["refuse", "encode"] = ...,
    concurrency: int = ...,
    private: Iterable[str] = ...,
    share: bool = ...,
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
    verify: Literal["content", "size"] = "content",
    keys: Literal["refuse", "encode"] = "refuse",
    concurrency: int = 1,
    private: Iterable[str] = (),
    share: bool = False,
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
        verify: what of the output is compared with what the step wrote before the step succeeds: "content",
            or names and sizes alone, which saves hashing every byte, or reading large objects back where the
            image has no numpy; the adapter's, `gateway="direct"` compares nothing.
        keys: what becomes of keys that Pachyderm can't hold (`* ? [ ] { } ! ( ) @ + ^`, what is no printable
            ASCII, empty elements, "." and ".."): "refuse" fails their upload, "encode" has all keys of the
            output bucket percent-encoded in Pachyderm (`adapter.encoding`); steps see them as they were.
        concurrency: how many jobs of the step may run at once, from 1 to 32. A Pachyderm pipeline works on
            one job at a time (its worker's queue, src/server/worker/pipeline/transform), so each has one of
            its own: `edges`, `edges-2`, ... `edges-32`. They are made when they are needed first, and stay. A
            step takes a free one, and waits only while all are busy; `commit` says which it was.
        private: names of the component's parameters whose values are not recorded: the step's record says
            that they are left out. KFP itself keeps the values of all parameters.
        share: whether processes on other hosts (Spark executors, Dask workers) may use the step's S3
            endpoint, with the step's keys and while its command runs: `runtime.Step.environment()`,
            docs/share.md.

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
            verify=verify,
            keys=keys,
            concurrency=concurrency,
            share=share,
            workload=parameters(ir.component, passthroughs(original.component_spec)),
            workload_env=environment_of(passthroughs(original.component_spec)),
            private=_private(original, left_out),
            command=ir.own_command(),
        )
        _check_names(original, config.inputs)
        own_project = project if project is not None or spec is None else spec.project
        checked_project = None if own_project is None else names.project(own_project)
        step = Step(original, ir, config, checked_project, connection)
        return S3EnabledComponent(step, checked_project or "default", connection)

    left_out = private if isinstance(private, str) else tuple(private)
    _check_options(spec, gateway, connection, holder, verify)
    _check_keys(keys, gateway)
    names.concurrency(concurrency)
    _check_share(share, gateway)
    return wrap if component is None else wrap(component)


def _inputs(inputs: Iterable[S3Input | FileInput], spec: PipelineSpec | None) -> tuple[InputConfig, ...]:
    given = inputs if isinstance(inputs, (str, S3Input, FileInput)) else tuple(inputs)
    if spec is None:
        return configs(given)
    if given:
        raise SpecError('Pass either "inputs" or "spec", not both: the spec has inputs of its own.')
    return configs(spec.inputs())


def _private(original: Any, names_: str | tuple[object, ...]) -> tuple[str, ...]:
    if isinstance(names_, str):
        raise SpecError(
            f'Argument for "private" must be names in a tuple. Got {names_!r}: write ("{names_}",).'
        )
    for one in names_:
        if one not in (original.component_spec.inputs or {}):
            raise SpecError(f'Argument for "private": component "{original.name}" has no parameter {one!r}.')
    return tuple(sorted({str(one) for one in names_}))


def _check_options(spec: object, gateway: object, connection: object, holder: object, verify: object) -> None:
    if gateway not in ("adapter", "direct"):
        raise SpecError(f'Argument for "gateway" must be "adapter" or "direct". Got {gateway!r}.')
    if verify not in ("content", "size"):
        raise SpecError(f'Argument for "verify" must be "content" or "size". Got {verify!r}.')
    if spec is not None and not isinstance(spec, PipelineSpec):
        raise SpecError('Argument for "spec" must be a PipelineSpec. Use PipelineSpec.load(<path or text>).')
    if not isinstance(holder, HolderOptions):
        raise SpecError('Argument for "holder" must be HolderOptions(...).')
    check_connection(connection)


def _check_keys(keys: object, gateway: object) -> None:
    if keys not in ("refuse", "encode"):
        raise SpecError(f'Argument for "keys" must be "refuse" or "encode". Got {keys!r}.')
    if keys == "encode" and gateway == "direct":
        raise SpecError(
            'keys="encode" needs gateway="adapter": Pachyderm\'s own gateway takes keys only as they are.'
        )


def _check_share(share: object, gateway: object) -> None:
    if not isinstance(share, bool):
        raise SpecError(f'Argument for "share" must be True or False. Got {share!r}.')
    if share and gateway == "direct":
        raise SpecError(
            'share=True needs gateway="adapter". Leave one of them out: Pachyderm\'s own gateway is reached '
            "from other pods as it is (docs/share.md says what it can't do)."
        )


def _checked_ir(original: Any) -> ComponentIR:
    if not isinstance(original, dsl.base_component.BaseComponent):
        hint = " Put @s3_enabled above @dsl.component." if callable(original) else ""
        raise TypeError(
            "s3_enabled takes a KFP component: from @dsl.component, @dsl.container_component or "
            f"components.load_component_from_*. Got {type(original).__name__}.{hint}"
        )
    if isinstance(original, S3EnabledComponent) or is_wrapped(original):
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
    for output in ADDED:
        if output in (original.component_spec.outputs or {}):
            raise OutputNameError(
                f'Component "{original.name}" has an output "{output}" already, which s3_enabled adds. '
                f"Rename it."
            )
