"""Outlines of photographs, then a montage of both: two KFP steps, each an S3-enabled Pachyderm job.

On a laptop `make demo` runs this very file on the embedded Pachyderm. For a cluster compile it with
`kfp dsl compile --py samples/edges/pipeline.py --output edges.yaml` and upload edges.yaml in the Kubeflow UI.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm

IMAGE = "python:3.11"
PACKAGES = ["boto3", "scikit-image"]


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image=IMAGE, packages_to_install=PACKAGES)
def edges(sigma: float = 1.0) -> int:
    """Draws the outlines of every photograph.

    Args:
        sigma: Width of the filter, in pixels.
    """
    import io

    import boto3
    import numpy as np
    from PIL import Image
    from skimage import feature

    s3 = boto3.client("s3")  # endpoint and keys come from the environment
    found = s3.list_objects_v2(Bucket="images")["Contents"]
    for photo in found:
        content = s3.get_object(Bucket="images", Key=photo["Key"])["Body"].read()
        grey = np.asarray(Image.open(io.BytesIO(content)).convert("L")) / 255
        outline = io.BytesIO()
        Image.fromarray(~feature.canny(grey, sigma=sigma)).save(outline, format="png")
        s3.put_object(Bucket="out", Key=photo["Key"].rsplit(".", 1)[0] + ".png", Body=outline.getvalue())
        print(f"outlined {photo['Key']}")
    return len(found)


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("edges"), pachyderm.S3Input("images")])
@dsl.component(base_image=IMAGE, packages_to_install=PACKAGES)
def montage():
    """Puts every photograph above its outlines, all in one picture."""
    import io

    import boto3
    from PIL import Image

    width, height = 320, 240
    s3 = boto3.client("s3")

    def tile(bucket: str, key: str):
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return Image.open(io.BytesIO(content)).convert("RGB").resize((width, height), Image.Resampling.BOX)

    photos = [found["Key"] for found in s3.list_objects_v2(Bucket="images")["Contents"]]
    picture = Image.new("RGB", (width * len(photos), 2 * height))
    for column, photo in enumerate(photos):
        picture.paste(tile("images", photo), (column * width, 0))
        picture.paste(tile("edges", photo.rsplit(".", 1)[0] + ".png"), (column * width, height))
    finished = io.BytesIO()
    picture.save(finished, format="png")
    s3.put_object(Bucket="out", Key="montage.png", Body=finished.getvalue())


@dsl.pipeline(name="edge-detection")
@pachyderm.pipeline(project="vision")  # project, connection and one snapshot of the inputs for all its steps
def edge_detection(sigma: float = 1.0) -> str:
    """Photographs to outlines to a montage; returns the montage's commit."""
    found = edges(sigma=sigma)
    made = montage(edges=found.outputs["commit"])
    return made.outputs["commit"]
