"""Lists and dicts as parameters, with defaults, from the pipeline's parameters."""

from typing import Optional

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "grid"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def search(
    sizes: list[int],
    options: dict[str, float] = {"sigma": 1.5},  # noqa: B006
    names: list[str] = ["a", "b"],  # noqa: B006
    deep: bool = True,
    note: Optional[str] = None,  # noqa: UP045 - KFP knows no other spelling
) -> list[float]:
    """Searches a grid."""
    return [size * options["sigma"] for size in sizes]


@dsl.component(base_image="python:3.11")
def largest(values: list[float]) -> float:
    return max(values)


@dsl.pipeline(name="grid")
@pachyderm.pipeline
def grid(sizes: list[int] = [1, 2, 3], images: str = "") -> float:  # noqa: B006
    found = search(sizes=sizes, images=images)
    return largest(values=found.output).output
