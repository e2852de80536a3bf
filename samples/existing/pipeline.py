"""Pachyderm's documented S3-enabled pipeline as a KFP step: its spec as it stands, its code a component.

spec.json is the example of Pachyderm's documentation, "Create an S3-enabled Pipeline", word for word. The
step takes from it the pipeline's name, its input and its output; the code is the component's own. in_place.py
shows the other way: the pipeline stays in Pachyderm, and a KFP task waits for its job.
"""

from pathlib import Path

from kfp import dsl

import kfp_pachyderm as pachyderm

SPEC = pachyderm.PipelineSpec.load(Path(__file__).with_name("spec.json"))


@pachyderm.s3_enabled(spec=SPEC)
@dsl.component(base_image="python:3.11", packages_to_install=["boto3", "pillow"])
def edges():
    """Finds the edges in every image, as the documentation's /edges.py does."""
    import io
    import os

    import boto3
    from PIL import Image, ImageFilter

    s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"])
    for found in s3.list_objects_v2(Bucket="images")["Contents"]:
        image = Image.open(s3.get_object(Bucket="images", Key=found["Key"])["Body"])
        outlined = io.BytesIO()
        image.convert("L").filter(ImageFilter.FIND_EDGES).save(outlined, format="png")
        s3.put_object(Bucket="out", Key=found["Key"], Body=outlined.getvalue())


@dsl.pipeline(name="documented")
@pachyderm.pipeline
def documented() -> str:
    """Runs it on the newest commit of `images`; returns the commit that it makes in `test`."""
    return edges().outputs["commit"]
