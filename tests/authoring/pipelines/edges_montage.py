"""The design's example: two steps, wired by commit, one snapshot."""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "edge_detection"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11", packages_to_install=["boto3", "scikit-image"])
def edges(sigma: float = 1.0) -> int:
    """Outlines of every image.

    Args:
        sigma: width of the filter in pixels.
    """
    import boto3

    s3 = boto3.client("s3")
    found = s3.list_objects_v2(Bucket="images").get("Contents", [])
    for one in found:
        s3.copy_object(Bucket="out", Key=one["Key"], CopySource={"Bucket": "images", "Key": one["Key"]})
    return len(found)


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("edges"), pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11", packages_to_install=["boto3"])
def montage():
    """Images and their outlines in one picture."""


@dsl.pipeline(name="edge-detection")
@pachyderm.pipeline(project="vision")
def edge_detection(sigma: float = 1.0):
    """Outlines of images, and a montage of both."""
    found = edges(sigma=sigma)
    montage(edges=found.outputs["commit"])
