"""Which steps' pipelines the snapshot makes ahead, and pipelines without a snapshot."""

from typing import Any

import pytest
from google.protobuf import json_format
from kfp import dsl

import kfp_pachyderm as pachyderm
from kfp_pachyderm.launcher import config as configs

COMMIT = "other/archive@" + "0" * 32


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def look(label: str = "") -> str:
    return label


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("look"), pachyderm.S3Input("archive")], name="montage")
@dsl.component(base_image="python:3.11")
def join() -> str:
    return ""


@dsl.component(base_image="python:3.11")
def choose() -> str:
    return "images@staging"


def ahead_of(body: Any, **options: Any) -> dict[str, dict[str, str]]:
    pipeline = dsl.pipeline(name="ahead")(pachyderm.pipeline(**options)(body))
    executors = json_format.MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"]
    command = executors["exec-pachyderm-snapshot"]["container"]["command"]
    config = configs.loads(command[command.index("--executor-input") - 1])
    return {one.task: one.inputs for one in config.ahead}


def test_what_a_step_reads_is_known_by_snapshot_commit_and_other_steps() -> None:
    def run(images: str = ""):
        first = look(images=images)
        look()
        join(look=first.outputs["commit"], archive=COMMIT)

    assert ahead_of(run, project="vision") == {
        "look": {"images": "images"},
        "look-2": {"images": "images_master"},
        "join": {"look": "vision/look@master", "archive": COMMIT},
    }


def test_steps_that_may_be_left_out_or_read_what_is_not_known_are_not_made_ahead() -> None:
    def run(mode: str = ""):
        look()
        look(images=choose().output)
        with dsl.If(mode == "a"):
            one = look()
        with dsl.Else():
            other = look()
        join(look=dsl.OneOf(one.outputs["commit"], other.outputs["commit"]))
        with dsl.ParallelFor(["images@a"]) as reference:
            look(images=reference)
        with dsl.ParallelFor(["a", "b"]) as label:
            look(label=label)

    assert list(ahead_of(run)) == ["look", "look-6"]


def test_another_connection_is_another_pachyderm() -> None:
    there = pachyderm.Connection("grpc://there:30650")
    far = pachyderm.s3_enabled(look.step.original, inputs=[pachyderm.S3Input("images")], connection=there)

    def run():
        look()
        far()

    assert list(ahead_of(run)) == ["look"]


def test_without_a_snapshot_steps_resolve_for_themselves_and_are_not_cached() -> None:
    @dsl.pipeline
    @pachyderm.pipeline(snapshot=False, project="vision")
    def run(images: str = ""):
        first = look()
        look(images=images)
        join(look=first.outputs["commit"], archive=COMMIT)

    tasks = json_format.MessageToDict(run.pipeline_spec)["root"]["dag"]["tasks"]
    assert set(tasks) == {"look", "look-2", "join"}
    cached = {name: task["cachingOptions"].get("enableCache", False) for name, task in tasks.items()}
    # All inputs of the last step are known.
    assert cached == {"look": False, "look-2": False, "join": True}
    assert tasks["look"]["inputs"]["parameters"]["images"] == {"runtimeValue": {"constant": ""}}


def test_without_a_snapshot_unwired_steps_are_warned_of_too() -> None:
    with pytest.warns(UserWarning, match=r"reads look@master as it is when it starts"):

        @dsl.pipeline
        @pachyderm.pipeline(snapshot=False)
        def run():
            look()
            join(archive=COMMIT)
