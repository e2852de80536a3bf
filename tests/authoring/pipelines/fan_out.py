"""Steps with concurrency: in a loop in a loop, a condition in a loop, a nested pipeline in a loop."""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "fan_out"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")], concurrency=4)
@dsl.component(base_image="python:3.11")
def look(label: str = "") -> str:
    return label


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("look")], name="report", concurrency=2)
@dsl.component(base_image="python:3.11")
def report():
    pass


@dsl.pipeline(name="inner")
@pachyderm.pipeline
def inner(label: str):
    look(label=label)


@dsl.pipeline(name="fan-out")
@pachyderm.pipeline
def fan_out(labels: list[str] = ["a", "b"]):  # noqa: B006
    with dsl.ParallelFor(["1", "2"]) as outer:
        with dsl.ParallelFor(["3", "4"]):
            seen = look(label=outer)
            report(look=seen.outputs["commit"])
        with dsl.If(outer == "1"):
            look(label=outer)
    with dsl.ParallelFor(labels, parallelism=2) as label:
        inner(label=label)
