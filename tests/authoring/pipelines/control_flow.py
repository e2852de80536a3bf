"""Loops, branches, an exit task; inputs that are known at the start, and one that is not."""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "branching"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def look(label: str = "") -> str:
    return label


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("look")], name="report")
@dsl.component(base_image="python:3.11")
def report():
    pass


@dsl.component(base_image="python:3.11")
def choose() -> str:
    return "images@staging"


@dsl.pipeline(name="branching")
@pachyderm.pipeline
def branching(branch: str = "master", labels: list[str] = ["a"]):  # noqa: B006
    last = report()
    with dsl.ExitHandler(last):
        first = look(label="first")
        with dsl.ParallelFor(labels) as label:
            look(label=label)
            look(images=f"images@{branch}")
        with dsl.ParallelFor(["images@x", "images@y"]) as reference:
            look(images=reference)
        with dsl.If(first.output == "first"):
            one = look(images="vision/images@staging")
        with dsl.Else():
            other = look(images=choose().output)
        report(look=dsl.OneOf(one.outputs["commit"], other.outputs["commit"]))
