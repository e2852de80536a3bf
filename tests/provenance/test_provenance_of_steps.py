"""Provenance of real steps: found by commit, file, job and run, and shown as cards in notebooks."""

import functools
import io

import pytest
from click.testing import CliRunner
from kfp import dsl
from pachyderm_sdk.api import pfs, pps
from PIL import Image

import kfp_pachyderm as pach
from kfp_pachyderm import provenance
from kfp_pachyderm.cli import main
from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.testing import Pachyderm
from tests.waiting import wait_for

component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@pach.s3_enabled(inputs=[pach.S3Input("photos")])
@component()
def flip(name: str = "a.png", fail: bool = False):
    import boto3

    s3 = boto3.client("s3")
    for one in s3.list_objects_v2(Bucket="photos")["Contents"]:
        body = s3.get_object(Bucket="photos", Key=one["Key"])["Body"].read()
        s3.put_object(Bucket="out", Key=one["Key"], Body=body)
    if fail:
        raise SystemExit(3)


@pach.s3_enabled(inputs=[pach.S3Input("flip"), pach.S3Input("photos")])
@component()
def frame():
    import boto3

    boto3.client("s3").put_object(Bucket="out", Key="frame.txt", Body=b"framed")


@dsl.pipeline(name="framing")
@pach.pipeline(project="vision")
def framing(name: str = "a.png") -> str:
    flipped = flip(name=name)
    return frame(flip=flipped.outputs["commit"]).outputs["commit"]


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(made, format="png")
    return made.getvalue()


def test_a_pipeline_is_found_again_from_anything(pachyderm: Pachyderm) -> None:
    photos = pachyderm.put("vision/photos", {"/a.png": picture()})
    framed = framing(name="b.png").output
    found = provenance.lineage(framed)
    assert [(one.title, one.kind, one.state) for one in found.nodes][:1] == [("frame", "step", "SUCCESS")]
    by_title = {one.title: one for one in found.nodes}
    assert set(by_title) == {"frame", "flip", "photos"}
    assert str(by_title["photos"].commit) == photos
    assert not any(one.bare or one.cached or one.failed for one in found.nodes)
    flipped = by_title["flip"]
    assert flipped.record is not None
    assert (flipped.record.task.pipeline, flipped.record.code.parameters["name"]) == ("framing", "b.png")
    assert flipped.job is not None
    assert flipped.job.seconds is not None
    assert flipped.size == len(picture())

    down = provenance.lineage(photos, down=True, client=pachyderm.client)
    assert {one.title for one in down.nodes} == {"photos", "flip", "frame"}
    assert {str(one.commit) for one in down.nodes} == {str(one.commit) for one in found.nodes}
    run = flipped.record.task.run
    assert set(provenance.of_run(pachyderm.address, run).by_commit) == set(found.by_commit)
    by_job = provenance.lineage(flipped.commit.version)
    assert by_job.roots == (flipped.commit,)
    assert provenance.lineage(f"{photos}:/a.png").file == "/a.png"
    with pytest.raises(NotFoundError):
        provenance.lineage(f"{photos}:/b.png")
    (listed,) = provenance.runs("vision")
    assert (listed.id, listed.pipeline, listed.state, listed.commits) == (run, "framing", "SUCCESS", 2)

    shown = CliRunner().invoke(main, ["files", framed, "--address", pachyderm.address])
    assert shown.output.splitlines()[1].split() == ["6", "B", "/frame.txt"]
    for card, said in (
        (found._repr_html_(), str(flipped.commit)),
        (listed._repr_html_(), "framing"),
        (flipped._repr_html_(), "data:image/png;base64,"),
    ):
        assert said in card
        assert "<script" not in card


def test_a_task_shows_its_card_and_a_failed_one_is_found(pachyderm: Pachyderm) -> None:
    photos = pachyderm.put("photos", {"/a<b>.png": picture()})
    task = flip(name="<script>alert(1)</script>")
    card = task._repr_html_()
    assert card is not None
    assert "<script" not in card
    for said in (
        "SUCCESS",
        task.outputs["commit"],
        photos,
        "&lt;script&gt;",
        "/a&lt;b&gt;.png (",
        "data:image/png;base64,",
    ):
        assert said in card
    with pytest.raises(Exception, match=r"flip"):
        flip(fail=True)
    (failed,) = wait_for(
        lambda: [one for one in provenance.lineage(photos, down=True).nodes if one.failed], "the job's end"
    )
    assert failed.error
    pipeline = pps.Pipeline(name="flip", project=pfs.Project(name="default"))
    pachyderm.client.pps.delete_pipeline(pipeline=pipeline, force=True, keep_repo=True)
    found = provenance.lineage(task.outputs["commit"])
    assert [(one.title, one.state, one.bare) for one in found.nodes] == [
        ("flip", "SUCCESS", ""), ("photos", "FINISHED", ""),
    ]  # fmt: skip
