"""Outlines of photographs, then a montage of both: two KFP steps, each an S3-enabled Pachyderm job.

On a laptop `make demo` runs this very file on the embedded Pachyderm. For a cluster compile it with
`kfp dsl compile --py samples/edges/pipeline.py --output edges.yaml` and upload edges.yaml in the Kubeflow UI.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm

PACKAGES = ["boto3", "scikit-image"]


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(packages_to_install=PACKAGES)
def edges(sigma: float = 1.0) -> int:
    """Draws the outlines of every photograph.

    Args:
        sigma: Width of the filter, in pixels.
    """
    import io

    import boto3
    from skimage import color, feature, img_as_ubyte
    from skimage import io as images

    s3 = boto3.client("s3")  # endpoint and keys come from the environment
    found = s3.list_objects_v2(Bucket="images")["Contents"]
    for photo in found:
        content = s3.get_object(Bucket="images", Key=photo["Key"])["Body"].read()
        picture = images.imread(io.BytesIO(content))
        grey = color.rgb2gray(picture[..., :3]) if picture.ndim == 3 else picture / 255
        outline = io.BytesIO()
        images.imsave(
            outline, img_as_ubyte(~feature.canny(grey, sigma=sigma)), extension=".png", check_contrast=False
        )
        s3.put_object(Bucket="out", Key=photo["Key"].rsplit(".", 1)[0] + ".png", Body=outline.getvalue())
        print(f"outlined {photo['Key']}")
    return len(found)


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("edges"), pachyderm.S3Input("images")])
@dsl.component(packages_to_install=PACKAGES)
def montage():
    """Puts every photograph above its outlines, all in one picture."""
    import io

    import boto3
    import numpy as np
    from skimage import color, img_as_ubyte, transform
    from skimage import io as images

    s3 = boto3.client("s3")

    def tile(bucket: str, key: str):
        picture = images.imread(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
        picture = picture[..., :3] if picture.ndim == 3 else color.gray2rgb(picture)
        return img_as_ubyte(transform.resize(picture, (240, 320), anti_aliasing=True))

    photos = [found["Key"] for found in s3.list_objects_v2(Bucket="images")["Contents"]]
    columns = [
        np.vstack([tile("images", photo), tile("edges", photo.rsplit(".", 1)[0] + ".png")])
        for photo in photos
    ]
    finished = io.BytesIO()
    images.imsave(finished, np.hstack(columns), extension=".png", check_contrast=False)
    s3.put_object(Bucket="out", Key="montage.png", Body=finished.getvalue())


@dsl.pipeline(name="edge-detection")
@pachyderm.pipeline(project="vision")  # project, connection and one snapshot of the inputs for all its steps
def edge_detection(sigma: float = 1.0) -> str:
    """Photographs to outlines to a montage; returns the montage's commit."""
    found = edges(sigma=sigma)
    made = montage(edges=found.outputs["commit"])
    return made.outputs["commit"]
