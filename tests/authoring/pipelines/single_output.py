"""One component by itself, with one output and a default."""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "count"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images", "staging", name="pictures")], name="picture-count")
@dsl.component(base_image="python:3.11")
def count(prefix: str = "") -> int:
    """Counts objects.

    Args:
        prefix: what their keys begin with.

    Returns:
        How many there are.
    """
    return len(prefix)
