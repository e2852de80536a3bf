"""Inputs and further fields from Pachyderm's own pipeline spec."""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "specified"
SPEC = """
pipeline: {name: outlines, project: {name: vision}}
description: Outlines of images.
input:
  cross:
  - pfs: {repo: images, glob: /, s3: true, name: pictures}
  - pfs: {repo: models, glob: "/*", branch: stable, project: shared}
transform: {cmd: [python3, /edges.py], image: pachyderm/opencv, env: {LEVEL: "3"}}
s3_out: true
resource_requests: {cpu: 0.5, memory: 256M}
metadata: {annotations: {team: "vision $(TEAM) {{x}} python3"}}
parallelism_spec: {constant: 1}
"""


@pachyderm.s3_enabled(
    spec=pachyderm.PipelineSpec.load(SPEC),
    holder=pachyderm.HolderOptions(image="python:3.12-slim", attach_timeout=60, lease=10),
)
@dsl.component(base_image="python:3.11")
def outline(model: str = "small") -> str:
    return model


@dsl.pipeline(name="specified")
@pachyderm.pipeline
def specified():
    outline()
