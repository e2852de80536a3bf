"""An input that only skipped steps read does not fail the run."""

from typing import Any, List  # kfp 2.14 does not know list[str]

import pytest
from google.protobuf import json_format
from kfp import dsl

import kfp_pachyderm as pachyderm
from kfp_pachyderm.launcher import config as configs


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def look(label: str = "") -> str:
    return label


@dsl.component(base_image="python:3.11")
def labels() -> List[str]:
    return []


def snapshot_of(body: Any) -> Any:
    pipeline = dsl.pipeline(name="branches")(pachyderm.pipeline(body))
    executors = json_format.MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"]
    command = executors["exec-pachyderm-snapshot"]["container"]["command"]
    return configs.loads(command[command.index("--executor-input") - 1])


def test_every_branch_of_a_condition_is_optional() -> None:
    def run(mode: str = ""):
        look(images="images@always")
        with dsl.If(mode == "a"):
            one = look(images="images@a")
        with dsl.Elif(mode == "b"):
            two = look(images="images@b")
        with dsl.Else():
            three = look(images="images@c")
        commits = [task.outputs["commit"] for task in (one, two, three)]
        look(images=dsl.OneOf(*commits))

    assert snapshot_of(run).optional == ("images_a", "images_b", "images_c")


def test_a_reference_that_a_sure_step_reads_too_is_needed() -> None:
    def run(mode: str = ""):
        with dsl.If(mode == "a"):
            look(images="images@a")
            look(images="images@b")
        look(images="default/images@a")

    assert snapshot_of(run).optional == ("images_b",)


def test_loops_over_what_is_not_known_may_have_no_items() -> None:
    def run(names: List[str] = [], branch: str = "x"):  # noqa: B006
        with dsl.ParallelFor(names) as name:
            look(images="images@parameter", label=name)
        with dsl.ParallelFor(labels().output) as name:
            look(images="images@output", label=name)
            look(images=f"images@{branch}")
        with dsl.ParallelFor(["a"]) as name:
            look(images="images@constant", label=name)

    assert snapshot_of(run).optional == ("images_parameter", "images_output", "images")


def test_conditions_are_found_however_deep_and_exit_handlers_are_none() -> None:
    def run(mode: str = ""):
        last = look(images="images@last")
        with dsl.ExitHandler(last):
            look(images="images@handled")
            with dsl.If(mode == "a"):
                with dsl.ParallelFor(["a"]):
                    look(images="images@deep")

    found = snapshot_of(run)
    assert set(found.references) == {"images_handled", "images_deep"}
    assert found.optional == ("images_deep",)


def test_the_snapshot_runs_in_the_image_of_a_step_that_is_sure_to_run() -> None:
    other = pachyderm.s3_enabled(
        dsl.component(base_image="only-in-one-mode:1")(look.step.original.python_func),
        inputs=[pachyderm.S3Input("images")],
    )

    @dsl.pipeline
    @pachyderm.pipeline
    def run(mode: str = ""):
        with dsl.If(mode == "a"):
            other()
        look()

    executors = json_format.MessageToDict(run.pipeline_spec)["deploymentSpec"]["executors"]
    assert executors["exec-pachyderm-snapshot"]["container"]["image"] == "python:3.11"


@pytest.mark.parametrize("mode", ["", "a"])
def test_a_step_in_a_branch_stays_cached(mode: str) -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run(mode: str = mode):
        with dsl.If(mode == "a"):
            look()

    spec = json_format.MessageToDict(run.pipeline_spec)
    task = spec["components"]["comp-condition-1"]["dag"]["tasks"]["look"]
    assert task["cachingOptions"] == {"enableCache": True}


def test_the_snapshot_stands_at_the_top_also_after_branches_without_else() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run(mode: str = ""):
        look(images="images@always")
        with dsl.If(mode == "a"):
            look(images="images@a")
        with dsl.Elif(mode == "b"):
            look(images="images@b")

    tasks = json_format.MessageToDict(run.pipeline_spec)["root"]["dag"]["tasks"]
    assert set(tasks) == {"look", "condition-branches-1", "pachyderm-snapshot"}
