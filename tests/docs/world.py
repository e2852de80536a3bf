"""The world that the code blocks run in: a Pachyderm with photographs, and a run of two steps on them.

It also has the names that blocks use without defining them: the components of the README and of other pages.
"""

import re
from dataclasses import dataclass

from kfp import dsl, kubernetes

import kfp_pachyderm as pachyderm
from kfp_pachyderm import provenance
from kfp_pachyderm.runtime import current_step


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def edges(sigma: float = 1.0):
    from kfp_pachyderm.runtime import current_step

    s3 = current_step().boto3_client()
    body = s3.get_object(Bucket="images", Key="cat.png")["Body"].read()
    s3.put_object(Bucket="out", Key="cat.png", Body=body)


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("edges"), pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def montage():
    from kfp_pachyderm.runtime import current_step

    current_step().boto3_client().put_object(Bucket="out", Key="montage.png", Body=b"a picture")


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def part(name: str): ...


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("edges")], concurrency=4)
@dsl.component(base_image="python:3.11")
def measure(): ...


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")], project="vision", name="blocks", share=True)
@dsl.component(base_image="python:3.11")
def run_blocks(codes: list) -> list:
    """Runs code blocks inside of a step; returns the error's text for each, "" for a block that ran."""
    import traceback

    said = []
    for code in codes:
        try:
            exec(code, {})  # noqa: S102
            said.append("")
        except Exception:
            said.append(traceback.format_exc())
    from kfp_pachyderm.runtime import current_step

    current_step().boto3_client().put_object(Bucket="out", Key="done", Body=b"")
    return said


@dsl.pipeline(name="edge-detection")
@pachyderm.pipeline(project="vision")
def edge_detection() -> str:
    found = edges()
    return montage(edges=found.outputs["commit"]).outputs["commit"]


def names() -> dict[str, object]:
    """The names that a page's first block may use."""
    return {
        "dsl": dsl,
        "kubernetes": kubernetes,
        "pachyderm": pachyderm,
        "current_step": current_step,
        "edges": edges,
        "montage": montage,
        "part": part,
        "measure": measure,
    }


@dataclass(frozen=True)
class World:
    """The IDs that take the place of the blocks' placeholders.

    Args:
        images: ID of the commit of vision/images.
        montage: ID of the commit of vision/montage, which is its job's.
        run: ID of the KFP run that made it.
    """

    images: str
    montage: str
    run: str

    def filled(self, text: str) -> str:
        """The text with IDs in the place of its placeholders."""
        text = re.sub(r"images@<[^>]+>", f"images@{self.images}", text)
        text = re.sub(r"@<[^>]+>", f"@{self.montage}", text)
        return text.replace("<KFP run ID>", self.run).replace("<job ID>", self.montage)


def make(put) -> World:
    """Makes the commits on the Pachyderm that this process uses.

    Args:
        put: of the fixture `pachyderm`.
    """
    images = put("vision/images", {"cat.png": b"a cat", "dog.png": b"a dog"})
    made = edge_detection().output
    (run,) = provenance.runs("vision")
    return World(images.partition("@")[2], made.partition("@")[2], run.id)
