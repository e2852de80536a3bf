"""KFP's rules hold for wrapped components: exit tasks, all outputs at once, components made in bodies."""

from typing import Any, NamedTuple

import pytest
from google.protobuf import json_format
from kfp import compiler, components, dsl

import kfp_pachyderm as pachyderm
from kfp_pachyderm.authoring.tasks import StepOutputs

TEXT = """
name: Toss a coin
outputs: [{name: side, type: String}]
implementation: {container: {image: "python:3.11", command: [toss, {outputPath: side}]}}
"""


@dsl.component(base_image="python:3.11")
def plain_work(label: str = "") -> str:
    return label


@dsl.component(base_image="python:3.11")
def plain_cleanup(status: dsl.PipelineTaskFinalStatus, label: str = ""):
    print(status.state, label)


@dsl.component(base_image="python:3.11")
def plain_both() -> NamedTuple("Both", [("left", str), ("right", int)]):
    return ("a", 1)


images = pachyderm.S3Input("images")
work = pachyderm.s3_enabled(plain_work, inputs=[images])
cleanup = pachyderm.s3_enabled(plain_cleanup, inputs=[images])
both = pachyderm.s3_enabled(plain_both, inputs=[images])


def spec(pipeline: Any) -> Any:
    return json_format.MessageToDict(pipeline.pipeline_spec)


def tasks(pipeline: Any, component: str = "") -> Any:
    found = spec(pipeline)
    dag = found["components"][component] if component else found["root"]
    return dag["dag"]["tasks"]


def image(task: Any) -> Any:
    return task["inputs"]["parameters"]["images"]


BRANCH = {"runtimeValue": {"constant": ""}}


@pytest.mark.parametrize("label", ["", "task"])
def test_task_that_ignores_failures_depends_on_no_snapshot(label: str) -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run():
        made = work()
        last = cleanup(label=made.output) if label else cleanup(label="").after(made)
        last.ignore_upstream_failure()

    found = tasks(run)
    assert found["plain-cleanup"]["dependentTasks"] == ["plain-work"]
    assert found["plain-cleanup"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert found["plain-work"]["dependentTasks"] == ["pachyderm-snapshot"]
    assert image(found["plain-cleanup"]) == BRANCH
    assert not found["plain-cleanup"]["cachingOptions"]


def test_task_that_ignores_failures_in_a_loop_and_below_a_condition() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run(flag: bool = True):
        with dsl.ParallelFor(["a", "b"]) as item:
            made = work(label=item)
            cleanup(label="").after(made).ignore_upstream_failure()
        with dsl.If(flag == True):  # noqa: E712 - KFP's way to write a condition
            made = work()
            cleanup(label=made.output).ignore_upstream_failure()

    for component, number in (("comp-for-loop-2", ""), ("comp-condition-3", "-2")):
        found = tasks(run, component)
        assert found[f"plain-cleanup{number}"]["dependentTasks"] == [f"plain-work{number}"]


def test_nested_pipeline_that_ignores_failures() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def nested(label: str = ""):
        work(label=label)

    @dsl.pipeline
    @pachyderm.pipeline
    def run():
        made = work()
        nested(label=made.output).ignore_upstream_failure()

    assert tasks(run)["nested"]["dependentTasks"] == ["plain-work"]
    assert set(tasks(run, "comp-nested")) == {"plain-work", "pachyderm-snapshot"}


def test_snapshot_of_an_exit_handler_is_inside_of_it() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run():
        with dsl.ExitHandler(cleanup()):
            work()
            work(images="images@staging")

    assert set(tasks(run)) == {"exit-handler-1", "plain-cleanup"}
    assert "dependentTasks" not in tasks(run)["exit-handler-1"]
    assert tasks(run)["plain-cleanup"]["dependentTasks"] == ["exit-handler-1"]
    inside = tasks(run, "comp-exit-handler-1")
    assert set(inside) == {"pachyderm-snapshot", "plain-work", "plain-work-2"}
    assert image(inside["plain-work-2"])["taskOutputParameter"] == {
        "producerTask": "pachyderm-snapshot",
        "outputParameterKey": "images_staging",
    }


def test_each_exit_handler_and_the_rest_have_a_snapshot() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run(branch: str = "images@master", flag: str = "yes"):
        work()
        with dsl.ExitHandler(cleanup()):
            with dsl.If(flag == "yes"):
                work(images=branch)
        with dsl.ExitHandler(cleanup()):
            work(images=branch)

    root = tasks(run)
    assert root["plain-work"]["dependentTasks"] == ["pachyderm-snapshot"]
    assert "dependentTasks" not in root["exit-handler-1"]
    assert "dependentTasks" not in root["exit-handler-3"]
    first = tasks(run, "comp-exit-handler-1")
    assert first["condition-2"]["dependentTasks"] == ["pachyderm-snapshot-2"]
    assert tasks(run, "comp-exit-handler-3")["plain-work-3"]["dependentTasks"] == ["pachyderm-snapshot-3"]
    given = first["pachyderm-snapshot-2"]["inputs"]["parameters"]
    assert given == {"images": {"componentInputParameter": "pipelinechannel--branch"}}


def test_outputs_as_a_whole_are_the_components_own() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run() -> NamedTuple("Both", [("left", str), ("right", int)]):
        return both().outputs

    @dsl.pipeline
    @pachyderm.pipeline
    def wired(label: str = "") -> str:
        made = run()
        taken = both()
        assert list(taken.outputs) == ["left", "right"]
        assert "commit" in taken.outputs
        assert "else" not in taken.outputs
        assert taken.outputs.get("commit") is taken.outputs["commit"]
        assert taken.outputs.get("else", 1) == 1
        return work(label=dict(**taken.outputs)["left"], images=taken.outputs["commit"]).after(made).output

    assert sorted(spec(run)["root"]["outputDefinitions"]["parameters"]) == ["left", "right"]
    assert image(tasks(wired)["plain-work"])["taskOutputParameter"]["outputParameterKey"] == "commit"
    with pytest.raises(KeyError):
        StepOutputs({})["commit"]


def test_wrapping_inside_of_a_body_makes_no_tasks() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run(mode: str = "a"):
        def toss() -> Any:
            return pachyderm.s3_enabled(components.load_component_from_text(TEXT), inputs=[images])()

        first = toss()
        with dsl.If(first.outputs["side"] == "heads"), dsl.If(mode == "a"):
            toss()
            with dsl.ParallelFor(["a", "b"]):
                toss()

    assert set(tasks(run)) == {"toss-a-coin", "condition-1", "pachyderm-snapshot"}
    assert set(tasks(run, "comp-condition-1")) == {"condition-2"}
    assert set(tasks(run, "comp-condition-2")) == {"toss-a-coin-2", "for-loop-4"}
    assert set(tasks(run, "comp-for-loop-4")) == {"toss-a-coin-3"}


def test_component_that_was_wrapped_before_it_was_compiled_is_known(tmp_path: Any) -> None:
    text = tmp_path / "work.yaml"
    compiler.Compiler().compile(work, str(text))
    loaded = components.load_component_from_file(str(text))
    with pytest.raises(TypeError, match='"plain-work" is S3-enabled already'):
        pachyderm.s3_enabled(loaded, inputs=[images])


def test_component_that_was_compiled_alone_is_loaded_and_used(tmp_path: Any) -> None:
    text = tmp_path / "work.yaml"
    compiler.Compiler().compile(work, str(text))
    loaded = components.load_component_from_file(str(text))

    @dsl.pipeline
    def run():
        loaded(label="a", images="images@staging").set_env_variable("MODE", "fast")

    assert image(tasks(run)["plain-work"]) == {"runtimeValue": {"constant": "images@staging"}}


def test_pipeline_may_have_a_task_of_the_snapshots_name() -> None:
    @dsl.component(base_image="python:3.11")
    def pachyderm_snapshot():
        pass

    @dsl.pipeline
    @pachyderm.pipeline
    def run():
        pachyderm_snapshot()
        work()

    assert tasks(run)["plain-work"]["dependentTasks"] == ["pachyderm-snapshot-2"]
