"""The record of a step: KFP's artifact and its metadata, the commit's metadata, the page."""

from __future__ import annotations

from dataclasses import replace

from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.kfp_page import page
from kfp_pachyderm.provenance.kfp_task import KfpTask
from kfp_pachyderm.provenance.record import StepRecord

TASK = KfpTask(
    pipeline="edge-detection",
    run="run",
    task="edges",
    salt="",
    attempt="uid",
    component="edges",
    digest="sha256:1",
    image="python:3.11",
    package="0.1.0",
)
RECORD = StepRecord(
    task=TASK,
    project="vision",
    pipeline="edges",
    version=3,
    job="b" * 32,
    state="SUCCESS",
    inputs={"images": Reference("vision", "images", "a" * 32)},
    output=Reference("vision", "edges", "b" * 32),
    sidecar="http://s3-x.pachyderm:1600",
    started="2026-01-02T03:04:05.000+00:00",
    finished="2026-01-02T03:04:06.500+00:00",
    duration=1.5,
    size=5 * 2**20,
    objects=12,
)


def test_metadata_is_flat_and_without_nulls() -> None:
    for record in (RECORD, replace(RECORD, objects=None, task=replace(TASK, digest=""))):
        assert all(type(value) in (str, int, float) for value in record.metadata().values())
    found = RECORD.metadata()
    assert found["job"] == "b" * 32
    assert found["input_images"] == found["input_commits"] == "vision/images@" + "a" * 32
    assert found["duration_seconds"] == 1.5


def test_commit_metadata_has_no_empty_values() -> None:
    found = TASK.commit_metadata()
    assert found["kfp-pachyderm/run"] == "run"
    assert "kfp-pachyderm/salt" not in found
    assert all(found.values())


def test_page_names_job_inputs_and_output() -> None:
    text = page(RECORD)
    for part in (
        "# Pachyderm job of `edges`",
        "b" * 32,
        "vision/images@" + "a" * 32,
        "5.0 MiB",
        "12 objects",
        "1.5 s",
    ):
        assert part in text
    assert "pachctl list file edges@" in text


def test_page_of_a_direct_step_counts_no_objects() -> None:
    assert "objects" not in page(replace(RECORD, objects=None, size=3))
