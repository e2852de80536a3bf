"""`s3_enabled`: wraps a KFP component, so that its tasks run as S3-enabled Pachyderm jobs."""

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
    """Wraps a KFP component, so that each of its tasks runs as an S3-enabled Pachyderm job.

    Use it as a decorator above `@dsl.component`, or call it with any component that has a command. The
    component keeps its own parameters, outputs, image and command. Each input adds an optional parameter for
    a commit reference: `images@master`, `vision/images@<commit ID>`, or another step's `outputs["commit"]`.
    Without an argument the step reads the branch's newest good commit. Two outputs are added: `commit`, the
    step's output commit, and `pachyderm`, the record of the job.

    Args:
        component: the component; None: `s3_enabled` returns a decorator.
        inputs: the step's inputs, each an S3Input or a FileInput. A step needs at least one.
        spec: a Pachyderm pipeline spec, from which the step takes its inputs and further fields; give either
            `spec` or `inputs`.
        s3_out: whether the step has an output bucket, `s3://out`. A step with a `spec` has one only if the
            spec says `"s3_out": true`, too.
        name: the name of the Pachyderm pipeline; None: the spec's, else the KFP task's name.
        project: the Pachyderm project; None: the spec's, else that of `kfp_pachyderm.pipeline`, else
            "default".
        gateway: "adapter": the step uses the S3 endpoint in its own container. "direct": it uses the S3
            gateway of Pachyderm's sidecar.
        connection: how the step reaches Pachyderm; None: the connection of `kfp_pachyderm.pipeline`, else the
            default of the namespace that the step runs in.
        holder: the image, the time limits and the sidecar's memory of the Pachyderm job.
        timeout: seconds to wait for Pachyderm: for commits, for the job's start, for its end; None: the
            launcher's default.
        verify: what the adapter compares, before the step succeeds, between the output commit and what the
            step wrote. "content": names, sizes and content. "size": names and sizes. "size" saves the hash of
            every byte; where the image has neither wasmtime nor numpy, it saves a second read of large
            objects. With `gateway="direct"` nothing is compared.
        keys: what the adapter does with keys that Pachyderm can't hold: those with one of
            `* ? [ ] { } ! ( ) @ + ^`, with characters other than printable ASCII, or with an empty element,
            "." or "..". "refuse" fails their upload. "encode" percent-encodes all keys of the output bucket
            in Pachyderm (`adapter.encoding`); steps that read the bucket see the original keys.
        concurrency: how many jobs of the step may run at once, from 1 to 32. A Pachyderm pipeline works on
            one job at a time (its worker's queue, src/server/worker/pipeline/transform), so the step gets up
            to that many pipelines: `edges`, `edges-2`, ... `edges-32`. A pipeline is made when it is first
            needed, and stays. A task takes a free pipeline, and waits only while all are busy. The output
            `commit` names the pipeline's repo.
        private: names of component parameters whose values are not recorded; the step's record lists these
            names. KFP itself keeps the values of all parameters.
        share: whether processes on other hosts (Spark executors, Dask workers) may use the step's S3
            endpoint. They need the step's keys, and may use it while the step's command runs. See
            `runtime.Step.environment()` and docs/share.md.

    Returns:
        A KFP component, which is called like the original; without `component`, a decorator that returns one.

    Raises:
        TypeError: the argument is not a component, has no container (a pipeline, an importer), or is
            S3-enabled already.
        SpecError: an argument breaks a rule of Pachyderm or KFP; the subclass names the rule.
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
