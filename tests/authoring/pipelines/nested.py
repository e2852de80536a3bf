"""A pipeline in a pipeline: the inner one gets a commit from outside."""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "outer"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def look() -> str:
    return "seen"


@dsl.pipeline(name="inner")
@pachyderm.pipeline(project="vision")
def inner(images: str) -> str:
    return look(images=images).output


@dsl.pipeline(name="outer")
@pachyderm.pipeline(project="vision")
def outer():
    seen = look()
    inner(images=seen.outputs["commit"])
