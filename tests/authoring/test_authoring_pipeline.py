"""`pipeline`: one project, one connection, one snapshot."""

import inspect
from typing import Any

import pytest
from google.protobuf import json_format
from kfp import dsl

import kfp_pachyderm as pachyderm
from kfp_pachyderm.launcher import config as configs

COMMIT = "images@" + "0" * 32


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def look(label: str = "") -> str:
    return label


@dsl.component(base_image="python:3.11")
def choose() -> str:
    return "images@staging"


def tasks(pipeline: Any) -> dict[str, Any]:
    return json_format.MessageToDict(pipeline.pipeline_spec)["root"]["dag"]["tasks"]


def config_of(pipeline: Any, task: str) -> Any:
    executors = json_format.MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"]
    command = executors[f"exec-{task}"]["container"]["command"]
    return configs.loads(command[command.index("--executor-input") - 1])


def cached(task: dict[str, Any]) -> bool:
    return bool(task["cachingOptions"].get("enableCache", False))


def source(task: dict[str, Any]) -> Any:
    return task["inputs"]["parameters"]["images"]


def from_snapshot(output: str) -> dict[str, Any]:
    return {"taskOutputParameter": {"producerTask": "pachyderm-snapshot", "outputParameterKey": output}}


def test_left_out_and_branches_are_resolved_once() -> None:
    @dsl.pipeline
    @pachyderm.pipeline(project="vision")
    def run():
        look()
        look(images="images@master")
        look(images="vision/images@master")
        look(images="other/images@staging")

    found = tasks(run)
    assert [source(found[name]) for name in ("look", "look-2", "look-3")] == [
        from_snapshot("images_master")
    ] * 3
    assert source(found["look-4"]) == from_snapshot("other_images_staging")
    assert all(cached(found[name]) for name in ("look", "look-2", "look-3", "look-4"))
    assert not cached(found["pachyderm-snapshot"])
    config = config_of(run, "pachyderm-snapshot")
    assert config.project == "vision"
    assert config.references == {
        "images_master": "vision/images@master",
        "other_images_staging": "other/images@staging",
    }
    assert config.optional == ()
    assert config_of(run, "look").project == "vision"


def test_commits_need_no_snapshot() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run():
        first = look(images=COMMIT)
        look(images=first.outputs["commit"])

    found = tasks(run)
    assert set(found) == {"look", "look-2"}
    assert source(found["look"]) == {"runtimeValue": {"constant": COMMIT}}
    assert all(cached(task) for task in found.values())


def test_parameters_go_through_the_snapshot() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run(images: str = "", branch: str = "master"):
        look(images=images)
        look(images=images)
        look(images=f"images@{branch}")

    found = tasks(run)
    assert [source(found[name]) for name in ("look", "look-2", "look-3")] == [
        from_snapshot("images"),
        from_snapshot("images"),
        from_snapshot("images_2"),
    ]
    assert all(cached(found[name]) for name in ("look", "look-2", "look-3"))
    given = found["pachyderm-snapshot"]["inputs"]["parameters"]
    assert given["images"] == {"componentInputParameter": "images"}
    assert given["images_2"]["runtimeValue"]["constant"].startswith("images@{{$.inputs.parameters")
    assert set(config_of(run, "pachyderm-snapshot").references.values()) == {"default/images@master"}


def test_other_upstream_tasks_make_a_step_uncached() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run():
        look(images=choose().output)
        with dsl.ParallelFor(["images@a"]) as one:
            look(images=one)

    assert not cached(tasks(run)["look"])
    assert "pachyderm-snapshot" not in tasks(run)


def test_outside_of_the_decorator_nothing_is_pinned() -> None:
    @dsl.pipeline
    def run(images: str = ""):
        look()
        look(images=images)
        look(images=COMMIT)

    found = tasks(run)
    assert [cached(found[name]) for name in ("look", "look-2", "look-3")] == [False, False, True]


def test_users_word_on_caching_is_the_last() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run():
        look().set_caching_options(False)
        look(images=choose().output).set_caching_options(True)

    assert [cached(tasks(run)[name]) for name in ("look", "look-2")] == [False, True]


def test_steps_own_project_and_connection_win() -> None:
    there = pachyderm.Connection("grpc://there:30650")
    own = pachyderm.s3_enabled(look.step.original, inputs=[pachyderm.S3Input("images")], project="own")
    far = pachyderm.s3_enabled(look.step.original, inputs=[pachyderm.S3Input("images")], connection=there)

    @dsl.pipeline
    @pachyderm.pipeline(project="vision", connection=pachyderm.Connection("grpc://here:30650"))
    def run():
        own()
        far()

    assert (config_of(run, "look").project, config_of(run, "look").address) == ("own", "grpc://here:30650")
    assert (config_of(run, "look-2").project, config_of(run, "look-2").address) == (
        "vision",
        "grpc://there:30650",
    )
    assert config_of(run, "pachyderm-snapshot").address == "grpc://here:30650"
    assert config_of(run, "pachyderm-snapshot").references == {"own_images_master": "own/images@master"}
    assert not cached(tasks(run)["look-2"])


def test_exit_task_resolves_its_inputs_itself() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run(images: str = ""):
        last = look(images=images)
        with dsl.ExitHandler(last):
            look(images=COMMIT)

    assert "pachyderm-snapshot" not in tasks(run)
    assert source(tasks(run)["look"]) == {"componentInputParameter": "images"}
    assert not cached(tasks(run)["look"])


def test_reading_an_output_without_wiring_is_warned_of() -> None:
    reads = pachyderm.s3_enabled(choose, inputs=[pachyderm.S3Input("look")])
    with pytest.warns(UserWarning, match=r'look=<task "look">.outputs\["commit"\]') as seen:

        @dsl.pipeline
        @pachyderm.pipeline
        def run():
            made = look()
            reads()
            reads(look=made.outputs["commit"])
            reads(look="look@master")

    assert len(seen) == 1
    assert tasks(run)["choose"]["inputs"]["parameters"]["look"] == from_snapshot("look_master")


def test_function_stays_what_it_is() -> None:
    def body(sigma: float = 1.0, table: dsl.Input[dsl.Dataset] = None) -> str:
        """Says what it does."""
        return look(label="x").output

    decorated = pachyderm.pipeline(body)
    assert (decorated.__name__, decorated.__doc__) == ("body", body.__doc__)
    assert inspect.signature(decorated) == inspect.signature(body)
    pipeline = dsl.pipeline(name="said")(decorated)
    assert pipeline.description == "Says what it does."
    assert list(pipeline.component_spec.inputs) == ["sigma", "table"]
    assert list(pipeline.component_spec.outputs) == ["Output"]


def test_wrong_places_are_refused() -> None:
    with pytest.raises(TypeError, match=r"under @dsl\.pipeline"):
        pachyderm.pipeline(project="vision")(dsl.pipeline(name="p")(lambda: look() and None))
    with pytest.raises(TypeError, match="outside of a KFP pipeline"):
        pachyderm.pipeline(lambda: look())()
    with pytest.raises(pachyderm.SpecError, match="project"):
        pachyderm.pipeline(project="a/b")
    with pytest.raises(pachyderm.SpecError, match="Connection"):
        pachyderm.pipeline(connection="token")  # type: ignore[call-overload]


def test_body_that_fails_leaves_no_scope() -> None:
    with pytest.raises(ZeroDivisionError):

        @dsl.pipeline
        @pachyderm.pipeline(project="vision")
        def run():
            look()
            _ = 1 / 0

    @dsl.pipeline
    def after():
        look()

    assert config_of(after, "look").project == "default"


def test_steps_of_two_components_can_not_share_the_pipelines_of_one() -> None:
    @dsl.component(base_image="python:3.11")
    def first():
        pass

    @dsl.component(base_image="python:3.11")
    def first_2():
        pass

    wide = pachyderm.s3_enabled(first, inputs=[pachyderm.S3Input("images")], concurrency=3)
    other = pachyderm.s3_enabled(first_2, inputs=[pachyderm.S3Input("images")])

    def both():
        wide()
        other()

    def twice():
        wide()
        wide()

    said = r'"first" and "first-2" both need the Pachyderm pipeline "first-2".*s3_enabled\(name='
    with pytest.raises(pachyderm.SpecError, match=said):
        dsl.pipeline(name="both")(pachyderm.pipeline(both))
    dsl.pipeline(name="twice")(pachyderm.pipeline(twice))
