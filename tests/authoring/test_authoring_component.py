"""`s3_enabled` keeps the component's interface, and refuses what it can't wrap."""

import json
import re
from typing import Any, Dict, List, NamedTuple, Optional

import pytest
from kfp import compiler, components, dsl
from kfp.dsl import Dataset, Input, Output

import kfp_pachyderm as pachyderm
from kfp_pachyderm.launcher import config as configs
from kfp_pachyderm.launcher.bootstrap import BOOTSTRAP, GUARD

IMAGES = [pachyderm.S3Input("images")]


@dsl.component(base_image="python:3.11")
def work(
    table: Input[Dataset],
    result: Output[Dataset],
    size: int,
    names: List[str] = ["a"],  # noqa: B006
    options: Dict[str, int] = {"b": 1},  # noqa: B006
    ratio: float = 0.5,
    note: Optional[str] = None,  # noqa: UP045
) -> NamedTuple("Made", [("count", int), ("text", str)]):
    """Does work.

    At length.

    Args:
        table: what to read.
        size: how much.

    Returns:
        count: how many.
    """
    return (size, "done")


@dsl.component(base_image="python:3.11")
def one() -> int:
    return 1


@dsl.component(base_image="python:3.11")
def nothing():
    pass


@dsl.pipeline
def a_pipeline():
    nothing()


def step_config(component: Any) -> configs.StepConfig:
    command = component.component_spec.implementation.container.command
    found = configs.loads(command[command.index("--executor-input") - 1])
    assert isinstance(found, configs.StepConfig)
    return found


def test_interface_stays() -> None:
    wrapped = pachyderm.s3_enabled(work, inputs=IMAGES)
    before, after = work.component_spec, wrapped.component_spec
    assert (wrapped.name, wrapped.description) == ("work", work.description)
    assert wrapped.python_func is work.python_func
    assert list(after.inputs) == [*before.inputs, "images"]
    assert list(after.outputs) == [*before.outputs, "commit", "pachyderm"]
    for name, spec in before.inputs.items():
        assert vars(after.inputs[name]) == vars(spec)
    for name, spec in before.outputs.items():
        assert vars(after.outputs[name]) == vars(spec)
    added = after.inputs["images"]
    assert (added.type, added.default, added.optional) == ("String", "", True)
    assert "images@master" in added.description
    assert (after.outputs["commit"].type, after.outputs["pachyderm"].type) == (
        "String",
        "system.Markdown@0.0.1",
    )


def test_command_is_launcher_then_original() -> None:
    wrapped = pachyderm.s3_enabled(work, inputs=IMAGES, timeout=5, gateway="direct", s3_out=False)
    before = work.component_spec.implementation.container
    after = wrapped.component_spec.implementation.container
    assert after.command[:4] == ["sh", "-c", GUARD, BOOTSTRAP]
    assert after.command[5:8] == ["--executor-input", "{{$}}", "--"]
    assert after.command[8:] == before.command
    assert (after.args, after.image) == (before.args, before.image)
    config = step_config(wrapped)
    assert config.inputs == (configs.InputConfig("images", "images"),)
    assert (config.component, config.project, config.timeout) == ("work", "default", 5.0)
    assert (config.gateway, config.s3_out, config.image) == ("direct", False, "python:3.11")


def test_keys() -> None:
    assert step_config(pachyderm.s3_enabled(work, inputs=IMAGES)).keys == "refuse"
    assert step_config(pachyderm.s3_enabled(work, inputs=IMAGES, keys="encode")).keys == "encode"
    refusing = pachyderm.s3_enabled(work, inputs=IMAGES, keys="refuse")
    assert refusing.component_yaml == pachyderm.s3_enabled(work, inputs=IMAGES).component_yaml
    for wrong in ("Encode", None, True):
        with pytest.raises(pachyderm.SpecError, match='"keys" must be "refuse" or "encode"'):
            pachyderm.s3_enabled(keys=wrong)  # type: ignore[call-overload]
    with pytest.raises(pachyderm.SpecError, match='needs gateway="adapter"'):
        pachyderm.s3_enabled(keys="encode", gateway="direct")


def test_private() -> None:
    assert step_config(pachyderm.s3_enabled(work, inputs=IMAGES)).private == ()
    wrapped = pachyderm.s3_enabled(work, inputs=IMAGES, private=["size", "names", "size"])
    assert step_config(wrapped).private == ("names", "size")


def test_command_that_kfp_puts_values_into_is_kept_as_it_was() -> None:
    @dsl.container_component
    def login(token: str, label: str = ""):
        placeholder = dsl.IfPresentPlaceholder("label", ["--label", label])
        return dsl.ContainerSpec("alpine", command=["login", token], args=[placeholder])

    config = step_config(pachyderm.s3_enabled(login, inputs=IMAGES, private=("token",)))
    assert config.command[:2] == ("login", "{{$.inputs.parameters['token']}}")
    assert "IfPresent" in config.command[2]
    assert configs.loads(configs.dumps(config)) == config
    assert step_config(pachyderm.s3_enabled(work, inputs=IMAGES)).command == ()


def test_share() -> None:
    assert step_config(pachyderm.s3_enabled(work, inputs=IMAGES)).share is False
    assert step_config(pachyderm.s3_enabled(work, inputs=IMAGES, share=True)).share is True
    off = pachyderm.s3_enabled(work, inputs=IMAGES, share=False)
    assert off.component_yaml == pachyderm.s3_enabled(work, inputs=IMAGES).component_yaml
    for wrong in ("yes", None, 1):
        with pytest.raises(pachyderm.SpecError, match='"share" must be True or False'):
            pachyderm.s3_enabled(share=wrong)  # type: ignore[call-overload]
    with pytest.raises(pachyderm.SpecError, match=r'needs gateway="adapter".*docs/share\.md'):
        pachyderm.s3_enabled(share=True, gateway="direct")


def test_original_is_untouched() -> None:
    before = compiled(work)
    pachyderm.s3_enabled(work, inputs=IMAGES)
    assert compiled(work) == before


def compiled(component: Any) -> str:
    return json.dumps(component.pipeline_spec.SerializeToString(deterministic=True).hex())


def test_digest_is_of_the_original() -> None:
    first = step_config(pachyderm.s3_enabled(work, inputs=IMAGES)).digest
    assert re.fullmatch("sha256:[0-9a-f]{64}", first)
    assert step_config(pachyderm.s3_enabled(work, inputs=[pachyderm.S3Input("other")])).digest == first
    assert step_config(pachyderm.s3_enabled(one, inputs=IMAGES)).digest != first


def test_output_is_the_originals() -> None:
    single = pachyderm.s3_enabled(one, inputs=IMAGES)
    several = pachyderm.s3_enabled(work, inputs=IMAGES)
    none = pachyderm.s3_enabled(nothing, inputs=IMAGES)

    @dsl.pipeline
    def use(table: Input[Dataset]) -> int:
        task = single()
        assert task.output is task.outputs["Output"]
        for other in (several(table=table, size=1), none()):
            with pytest.raises(AttributeError, match="multiple outputs"):
                _ = other.output
        return task.output


def test_execute_is_the_originals() -> None:
    assert pachyderm.s3_enabled(one, inputs=IMAGES).execute() == 1


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1,), {}), ((), {}), ((), {"size": 1, "nope": 2, "table": None}), ((), {"images": "a@b"})],
)
def test_wrong_calls_fail_in_kfps_words(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    wrapped = pachyderm.s3_enabled(work, inputs=IMAGES)
    with pytest.raises(TypeError) as ours:
        wrapped(*args, **kwargs)
    with pytest.raises(TypeError) as theirs:
        work(*args, **{name: value for name, value in kwargs.items() if name != "images"})
    assert str(ours.value) == str(theirs.value)


def test_wrong_type_fails_in_kfps_words() -> None:
    @dsl.component(base_image="python:3.11")
    def number() -> int:
        return 1

    with pytest.raises(
        Exception, match="Incompatible argument passed to the input 'images' of component 'one'"
    ):

        @dsl.pipeline
        @pachyderm.pipeline
        def use():
            pachyderm.s3_enabled(one, inputs=IMAGES)(images=number().output)


def test_input_with_dashes_takes_underscores() -> None:
    wrapped = pachyderm.s3_enabled(one, inputs=[pachyderm.S3Input("my-images")])

    @dsl.pipeline
    def use():
        task = wrapped(my_images="my-images@" + "0" * 32)
        assert task.inputs == {"my-images": "my-images@" + "0" * 32}


def test_wraps_again_from_compiled_yaml(tmp_path: Any) -> None:
    """A component loaded from YAML is wrapped like the component that the YAML was compiled from."""
    path = str(tmp_path / "one.yaml")
    compiler.Compiler().compile(one, path)
    again = pachyderm.s3_enabled(components.load_component_from_file(path), inputs=IMAGES)
    assert step_config(again) == step_config(pachyderm.s3_enabled(one, inputs=IMAGES))


def test_description_survives_compiling_and_loading(tmp_path: Any) -> None:
    path = str(tmp_path / "work.yaml")
    compiler.Compiler().compile(pachyderm.s3_enabled(work, inputs=IMAGES), path)
    loaded = components.load_component_from_file(path)
    assert loaded.description.startswith("Does work.\n")


def test_same_component_in_two_projects() -> None:
    wrapped = pachyderm.s3_enabled(one, inputs=IMAGES)
    assert step_config(wrapped).project == "default"
    assert step_config(pachyderm.s3_enabled(one, inputs=IMAGES, project="vision")).project == "vision"


SPEC = """
{"pipeline": {"name": "test", "project": {"name": "vision"}},
 "input": {"cross": [{"pfs": {"repo": "images", "glob": "/", "s3": true}}, {"pfs": {"repo": "lists", "glob":
 "/*"}}]},
 "transform": {"cmd": ["python3", "/edges.py"], "image": "pachyderm/opencv", "env": {"A": "b"}},
 "resourceRequests": {"memory": "1G"}}
"""


def test_from_pachyderms_spec() -> None:
    config = step_config(pachyderm.s3_enabled(one, spec=pachyderm.PipelineSpec.load(SPEC)))
    assert [(given.name, given.s3, given.glob) for given in config.inputs] == [
        ("images", True, "/"),
        ("lists", False, "/*"),
    ]
    assert (config.name, config.project, config.s3_out) == ("test", "vision", False)
    assert config.pipeline_spec == {"transform": {"env": {"A": "b"}}, "resource_requests": {"memory": "1G"}}
    own = step_config(
        pachyderm.s3_enabled(one, spec=pachyderm.PipelineSpec.load(SPEC), name="mine", project="here")
    )
    assert (own.name, own.project) == ("mine", "here")


@dsl.component(base_image="python:3.11")
def takes_images(images: str, my_list: str = ""):
    pass


@dsl.component(base_image="python:3.11")
def gives_commit() -> NamedTuple("Out", [("commit", str)]):
    return ("",)


@dsl.component(base_image="python:3.11")
def gives_record(pachyderm: Output[Dataset]):
    pass


@dsl.container_component
def without_command():
    return dsl.ContainerSpec(image="alpine")


REFUSED = [
    (one, {}, pachyderm.SpecError, "at least one input"),
    (one, {"inputs": pachyderm.S3Input("images")}, pachyderm.SpecError, "must be a list"),
    (one, {"inputs": ["images"]}, pachyderm.SpecError, r"S3Input\("),
    (
        one,
        {"inputs": [*IMAGES, pachyderm.FileInput("images", "/")]},
        pachyderm.InputNameError,
        "more than once",
    ),
    (one, {"inputs": IMAGES, "gateway": "master"}, pachyderm.SpecError, '"adapter" or "direct"'),
    (one, {"inputs": IMAGES, "verify": "hash"}, pachyderm.SpecError, '"content" or "size". Got \'hash\''),
    (one, {"inputs": IMAGES, "verify": None}, pachyderm.SpecError, '"content" or "size". Got None'),
    (work, {"inputs": IMAGES, "private": "size"}, pachyderm.SpecError, r'write \("size",\)'),
    (work, {"inputs": IMAGES, "private": ["sizes"]}, pachyderm.SpecError, "has no parameter 'sizes'"),
    (one, {"inputs": IMAGES, "timeout": 0}, pachyderm.SpecError, "positive number of seconds"),
    (one, {"inputs": IMAGES, "name": "A_b"}, pachyderm.SpecError, "lower-case"),
    (one, {"inputs": IMAGES, "name": "a" * 52}, pachyderm.SpecError, "1 characters longer than the 51 max"),
    (one, {"inputs": IMAGES, "name": "a" * 50, "project": "b" * 20}, pachyderm.SpecError, "Kubernetes name"),
    *(
        (one, {"inputs": IMAGES, "concurrency": value}, pachyderm.SpecError, f"from 1 to 32.*Got {value!r}")
        for value in (0, -1, 1.5, 2.0, True, "4", None, 33)
    ),
    (
        one,
        {"inputs": IMAGES, "name": "a" * 49, "concurrency": 10},
        pachyderm.SpecError,
        f'pipeline name "{"a" * 49}-10" is 1 characters longer than the 51 max',
    ),
    (
        one,
        {"inputs": IMAGES, "name": "a" * 37, "project": "b" * 20, "concurrency": 2},
        pachyderm.SpecError,
        "Kubernetes name",
    ),
    (one, {"inputs": IMAGES, "project": "a b"}, pachyderm.SpecError, "underscores, and dashes"),
    (one, {"inputs": IMAGES, "spec": pachyderm.PipelineSpec.load(SPEC)}, pachyderm.SpecError, "not both"),
    (one, {"spec": SPEC}, pachyderm.SpecError, "PipelineSpec.load"),
    (one, {"inputs": IMAGES, "connection": "grpc://a:1"}, pachyderm.SpecError, r"Connection\("),
    (one, {"inputs": IMAGES, "holder": 3}, pachyderm.SpecError, "HolderOptions"),
    (takes_images, {"inputs": IMAGES}, pachyderm.InputNameError, 'named like the parameter "images"'),
    (takes_images, {"inputs": [pachyderm.S3Input("my-list")]}, pachyderm.InputNameError, '"my_list"'),
    (gives_commit, {"inputs": IMAGES}, pachyderm.OutputNameError, '"commit"'),
    (gives_record, {"inputs": IMAGES}, pachyderm.OutputNameError, '"pachyderm"'),
    (without_command, {"inputs": IMAGES}, pachyderm.SpecError, "ENTRYPOINT"),
    (a_pipeline, {"inputs": IMAGES}, TypeError, "is a pipeline"),
    (dsl.importer, {"inputs": IMAGES}, TypeError, "takes a KFP component"),
    (one.python_func, {"inputs": IMAGES}, TypeError, "above @dsl.component"),
    (5, {"inputs": IMAGES}, TypeError, "Got int"),
    (pachyderm.s3_enabled(one, inputs=IMAGES), {"inputs": IMAGES}, TypeError, "already"),
]


@pytest.mark.parametrize(("component", "options", "error", "text"), REFUSED)
def test_refused(component: Any, options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as raised:
        pachyderm.s3_enabled(component, **options)
    assert type(raised.value) is error


def test_wrong_reference_is_seen_when_called() -> None:
    wrapped = pachyderm.s3_enabled(one, inputs=IMAGES)
    with pytest.raises(
        pachyderm.CommitReferenceError, match=r'input "images" is no commit reference. Got \'master\''
    ):
        wrapped(images="master")
