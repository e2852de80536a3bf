"""Many commits as one input: collected from a loop, listed, and as a parameter of the run."""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "fan_in"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")], concurrency=2)
@dsl.component(base_image="python:3.11")
def part(label: str = ""):
    pass


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("part", many=True)])
@dsl.component(base_image="python:3.11")
def merge():
    pass


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("pieces", many=True, merge=True)])
@dsl.component(base_image="python:3.11")
def flat():
    pass


@dsl.pipeline(name="fan-in")
@pachyderm.pipeline
def fan_in(commits: list[str] = ["part@master"], one: str = "part@master"):  # noqa: B006
    with dsl.ParallelFor(["a", "b"]) as label:
        made = part(label=label)
    merge(part=dsl.Collected(made.outputs["commit"]))
    alone = part()
    flat(pieces=[alone.outputs["commit"], "part@staging", one])
    merge(part=commits)
    flat()
