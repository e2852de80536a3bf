"""Every photograph under every filter: an S3 input crossed with files, one datum for each file.

The step's command runs once for each file of `filters`. Each time it finds the whole repo `images` as a
bucket, and that one file in the folder $PACH_INPUTS/filters. All these runs are one job and make one commit.
"""

from kfp import dsl

import kfp_pachyderm as pachyderm


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images"), pachyderm.FileInput("filters", "/*")])
@dsl.component(base_image="python:3.11", packages_to_install=["boto3", "pillow"])
def apply():
    """Applies one filter to all images; the filter's file names a class of Pillow's ImageFilter."""
    import io
    import os
    from pathlib import Path

    import boto3
    from PIL import Image, ImageFilter

    (file,) = (Path(os.environ["PACH_INPUTS"]) / "filters").iterdir()
    chosen = getattr(ImageFilter, file.read_text().strip())
    s3 = boto3.client("s3")
    for found in s3.list_objects_v2(Bucket="images")["Contents"]:
        image = Image.open(s3.get_object(Bucket="images", Key=found["Key"])["Body"])
        filtered = io.BytesIO()
        image.convert("RGB").filter(chosen).save(filtered, format="png")
        s3.put_object(Bucket="out", Key=f"{file.stem}/{found['Key']}", Body=filtered.getvalue())
    print(f"datum {os.environ['PACH_DATUM_ID'][:8]}: {file.stem} on all images")


@dsl.pipeline(name="filters")
@pachyderm.pipeline(project="studio")
def filters() -> str:
    """Returns the commit with a folder of pictures for every filter."""
    return apply().outputs["commit"]
