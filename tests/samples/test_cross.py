"""The sample `cross`: one datum for each file, all in one job."""

from __future__ import annotations

import io
from typing import Any

from pachyderm_sdk.api import pfs, pps
from PIL import Image

from samples import load_sample


def stripes() -> bytes:
    content = io.BytesIO()
    picture = Image.new("RGB", (40, 40), "white")
    picture.paste((0, 0, 0), (0, 0, 20, 40))
    picture.save(content, format="png")
    return content.getvalue()


def test_every_image_under_every_filter(pachyderm: Any) -> None:
    pachyderm.put("studio/images", {"/a.png": stripes(), "/deep/b.png": stripes()})
    pachyderm.put("studio/filters", {"/soft.txt": "BLUR", "/drawn.txt": "FIND_EDGES\n"})

    made = pfs.Commit.from_uri(load_sample("cross").filters().output)

    walked = pachyderm.client.pfs.walk_file(file=pfs.File(commit=made, path="/"))
    paths = [one.file.path for one in walked if one.file_type == pfs.FileType.FILE]
    assert paths == ["/drawn/a.png", "/drawn/deep/b.png", "/soft/a.png", "/soft/deep/b.png"]
    shades = {}
    for name in ("drawn", "soft"):
        file = pfs.File(commit=made, path=f"/{name}/a.png")
        with pachyderm.client.pfs.pfs_file(file=file) as content:
            shades[name] = Image.open(io.BytesIO(content.read())).getpixel((20, 10))[0]
    assert shades["drawn"] in (0, 255)
    assert 0 < shades["soft"] < 255, "blurred between black and white"
    pipeline = pps.Pipeline(name="apply", project=pfs.Project(name="studio"))
    job, *ahead = pachyderm.client.pps.list_job(pipeline=pipeline)
    assert not any(one.data_total for one in ahead), "of the pipeline that the snapshot made: no user code"
    assert (job.job.id, job.data_processed, job.state) == (made.id, 2, pps.JobState.JOB_SUCCESS)
