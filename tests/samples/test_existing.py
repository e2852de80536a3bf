"""The sample `existing`: Pachyderm's documented pipeline, as a KFP step and as a pipeline in Pachyderm."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from pachyderm_sdk.api import pfs, pps
from PIL import Image

from samples import load_sample
from tests.documented import DOCUMENTED


def square() -> bytes:
    content = io.BytesIO()
    picture = Image.new("L", (60, 60), 255)
    picture.paste(0, (20, 20, 40, 40))
    picture.save(content, format="png")
    return content.getvalue()


def read(pachyderm: Any, commit: str, path: str) -> bytes:
    with pachyderm.client.pfs.pfs_file(pfs.File.from_uri(f"{commit}:{path}")) as file:
        return file.read()


def test_documented_spec_is_a_step(pachyderm: Any) -> None:
    images = pachyderm.put("images", {"/square.png": square()})
    with pytest.warns(UserWarning, match="Pachyderm refuses this spelling"):
        sample = load_sample("existing")

    commit = sample.documented().output

    assert commit.startswith("default/test@")
    outlines = Image.open(io.BytesIO(read(pachyderm, commit, "/square.png")))
    shades = [outlines.getpixel((x, 30)) for x in (10, 19, 30)]
    assert shades[0] == shades[2] == 0, "no edge outside of the square, none inside"
    assert shades[1] > 0
    info = pachyderm.client.pfs.inspect_commit(commit=pfs.Commit.from_uri(commit))
    behind = [
        f"default/{one.repo.name}@{one.id}" for one in info.direct_provenance if one.repo.type == "user"
    ]
    assert behind == [images]


def test_documented_pipeline_is_run_in_place(pachyderm: Any) -> None:
    images = pachyderm.put("images", {"/square.png": square()})
    code = "import os; assert os.environ['S3_ENDPOINT']"
    spec = {
        **json.loads(DOCUMENTED),
        "input": {"pfs": {"glob": "/", "repo": "images", "s3": True}},
        "transform": {"cmd": ["python3", "-c", code], "image": "pachyderm/opencv"},
    }
    pachyderm.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    pipeline = pps.Pipeline(name="test", project=pfs.Project(name="default"))

    commit = load_sample("existing", "in_place").in_place().output

    (job,) = pachyderm.client.pps.list_job(pipeline=pipeline)
    assert (f"default/test@{job.job.id}", job.state) == (commit, pps.JobState.JOB_SUCCESS)
    info = pachyderm.client.pps.inspect_pipeline(pipeline=pipeline, details=True)
    assert (info.version, info.details.transform.cmd) == (1, ["python3", "-c", code])
    provenance = pachyderm.client.pfs.inspect_commit(commit=job.output_commit).direct_provenance
    assert images.partition("@")[2] in {one.id for one in provenance}
