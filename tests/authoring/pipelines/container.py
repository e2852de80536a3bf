"""A container component, and settings of the user's own on its task."""

from typing import Optional

from kfp import dsl, kubernetes
from kfp.dsl import ConcatPlaceholder, Dataset, IfPresentPlaceholder, Output

import kfp_pachyderm as pachyderm

FUNCTION = "copying"


@dsl.container_component
def copy(
    target: Output[Dataset],
    lines: dsl.OutputPath(int),
    text: str,
    suffix: str = "",
    extra: Optional[str] = None,  # noqa: UP045
):
    """Copies a text with tools of the image."""
    return dsl.ContainerSpec(
        image="alpine:3.20",
        command=[
            "sh",
            "-c",
            'echo "$0" > $1; wc -l < $1 > $2',
            ConcatPlaceholder([text, suffix]),
            target.path,
        ],
        args=[lines, IfPresentPlaceholder("extra", then=["--extra", extra], else_=["--none"])],
    )


step = pachyderm.s3_enabled(copy, inputs=[pachyderm.S3Input("texts"), pachyderm.FileInput("lists", "/*")])


@dsl.pipeline(name="copying")
@pachyderm.pipeline
def copying(text: str):
    task = step(text=text, lists="archive/lists@0123456789abcdef0123456789abcdef")
    task.set_caching_options(True).set_memory_limit("1Gi").set_retry(2).set_env_variable("LEVEL", "3")
    kubernetes.add_node_selector(task, "disk", "fast")
