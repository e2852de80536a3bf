"""Artifacts in and out, between a plain component and two steps."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output

import kfp_pachyderm as pachyderm

FUNCTION = "training"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def prepare(table: Output[Dataset]):
    """Writes a table."""
    with open(table.path, "w") as file:
        file.write("a,b\n")


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("weights")], s3_out=False, gateway="direct")
@dsl.component(base_image="python:3.11")
def train(table: Input[Dataset], model: Output[Model], scores: Output[Metrics], rate: float = 0.1) -> str:
    """Trains a model."""
    scores.log_metric("rate", rate)
    return table.uri


@dsl.component(base_image="python:3.11")
def show(model: Input[Model], text: str):
    print(model.uri, text)


@dsl.pipeline(name="training")
@pachyderm.pipeline(project="vision")
def training(rate: float = 0.2):
    prepared = prepare()
    trained = train(table=prepared.outputs["table"], rate=rate)
    show(model=trained.outputs["model"], text=trained.outputs["Output"])
