"""Two steps whose output is the same in each run, and one whose output differs."""

import functools

from kfp import dsl

import kfp_pachyderm as pach

component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@pach.s3_enabled(inputs=[pach.S3Input("photos")], private=("token",))
@component()
def flip(sigma: float = 1.5, token: str = "", count: int = 2) -> int:
    import boto3

    s3 = boto3.client("s3")
    for one in s3.list_objects_v2(Bucket="photos")["Contents"]:
        body = s3.get_object(Bucket="photos", Key=one["Key"])["Body"].read()
        s3.put_object(Bucket="out", Key=one["Key"], Body=body[::-1] + f"{sigma}{count}".encode())
    return 7


@pach.s3_enabled(inputs=[pach.S3Input("flip"), pach.S3Input("photos")])
@component()
def frame(width: int):
    import boto3

    s3 = boto3.client("s3")
    flipped = s3.get_object(Bucket="flip", Key="a.txt")["Body"].read()
    s3.put_object(Bucket="out", Key="frame/a.txt", Body=b"|" * width + flipped)


@dsl.pipeline(name="framing")
@pach.pipeline(project="vision")
def framing(sigma: float = 1.5) -> str:
    flipped = flip(sigma=sigma)
    return frame(flip=flipped.outputs["commit"], width=flipped.output).outputs["commit"]


@pach.s3_enabled(inputs=[pach.S3Input("photos")])
@component()
def dice():
    import os

    import boto3

    s3 = boto3.client("s3")
    s3.put_object(Bucket="out", Key="same.txt", Body=b"same")
    s3.put_object(Bucket="out", Key="dice.txt", Body=b"fell: " + os.urandom(8).hex().encode())
