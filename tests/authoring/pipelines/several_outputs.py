"""A component with several outputs; the pipeline returns one of them and the commit."""

from typing import NamedTuple

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "statistics_of_images"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def measure() -> NamedTuple("Measured", [("width", int), ("height", int), ("mode", str)]):
    """Measures the images."""
    return (640, 480, "RGB")


class Answer(NamedTuple):
    area: int
    commit: str


@dsl.component(base_image="python:3.11")
def area(width: int, height: int) -> int:
    return width * height


@dsl.pipeline(name="statistics")
@pachyderm.pipeline
def statistics_of_images() -> Answer:
    measured = measure()
    found = area(width=measured.outputs["width"], height=measured.outputs["height"])
    return Answer(found.output, measured.outputs["commit"])
