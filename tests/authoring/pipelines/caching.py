"""Caching: on for commits, off where a branch is only known during the run, and as the user says."""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "remembered"
COMMIT = "images@0123456789abcdef0123456789abcdef"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def look(label: str = "") -> str:
    return label


@dsl.pipeline(name="remembered")
def remembered(branch: str = "images@master"):
    look(images=COMMIT, label="on")
    look(images=COMMIT, label="off").set_caching_options(False)
    look(images=COMMIT, label="mine").set_caching_options(True, cache_key="mine")
    look(images=branch, label="unknown")
    look(images=branch, label="insisted").set_caching_options(True)
