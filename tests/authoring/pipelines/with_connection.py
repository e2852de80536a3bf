"""An address and two Secrets, none of them in the YAML's text."""

from kfp import dsl

import kfp_pachyderm as pachyderm

FUNCTION = "connected"
here = pachyderm.Connection(
    "grpcs://pachd.example.com:443", token_secret="pachyderm-auth", ca_secret="tls/ca.pem"
)
there = pachyderm.Connection("grpc://pachd.archive:30650", token_secret="archive/reader")


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")], timeout=120)
@dsl.component(base_image="python:3.11")
def look() -> str:
    return "seen"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")], connection=there)
@dsl.component(base_image="python:3.11")
def look_there() -> str:
    return "seen"


@dsl.pipeline(name="connected")
@pachyderm.pipeline(project="vision", connection=here)
def connected():
    look()
    look_there()
