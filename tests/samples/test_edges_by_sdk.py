"""The sample `edges`, looked at afterwards with Pachyderm's own unmodified client."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pachyderm_sdk.api import pfs, pps
from PIL import Image

from samples import load_sample


def photograph(shade: int) -> bytes:
    content = io.BytesIO()
    picture = np.full((60, 80), 255 - shade, np.uint8)
    picture[20:40, 20:60] = shade
    Image.fromarray(picture).save(content, format="png")
    return content.getvalue()


def test_pachyderm_and_kfp_tell_the_same_story(pachyderm: Any) -> None:
    photographs = pachyderm.put("vision/images", {"/a.png": photograph(0), "/b.png": photograph(40)})
    made = load_sample("edges").edge_detection(sigma=1.0).output
    job_id = made.removeprefix("vision/montage@")
    client, project = pachyderm.client, pfs.Project(name="vision")

    repos = {info.repo.name for info in client.pfs.list_repo(type="user", projects=[project])}
    assert {"images", "edges", "montage"} <= repos

    pipeline = pps.Pipeline(name="montage", project=project)
    spec = client.pps.inspect_pipeline(pipeline=pipeline, details=True).details
    assert spec.s3_out
    assert [(one.pfs.repo, one.pfs.s3, one.pfs.glob) for one in spec.input.cross] == [
        ("edges", True, "/"),
        ("images", True, "/"),
    ]

    job = client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=job_id), details=True)
    assert job.state == pps.JobState.JOB_SUCCESS
    assert job.output_commit.id == job_id
    worked = [one.job.id for one in client.pps.list_job(pipeline=pipeline) if one.data_total]
    assert worked == [job_id], (
        "one job an attempt; that of the snapshot, which made the pipeline, has no datums"
    )

    output = client.pfs.inspect_commit(commit=job.output_commit)
    behind = {one.repo.name: one.id for one in output.direct_provenance if one.repo.type == "user"}
    edges = client.pfs.inspect_commit(
        commit=pfs.Commit(repo=pfs.Repo(name="edges", type="user", project=project), id=behind["edges"])
    )
    assert f"vision/images@{behind['images']}" == photographs
    assert behind["edges"] == edges.commit.id
    assert {one.id for one in edges.direct_provenance if one.repo.name == "images"} == {behind["images"]}
    assert output.metadata["kfp-pachyderm/task"] == "montage"

    files = {info.file.path for info in client.pfs.walk_file(file=pfs.File(commit=edges.commit, path="/"))}
    assert {"/a.png", "/b.png"} <= files
