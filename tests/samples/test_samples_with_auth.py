"""Every sample with auth on: the data is root's, the steps are a robot's with the documented roles."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kfp.local import subprocess_task_handler
from pachyderm_sdk.api import pfs, pps
from sklearn.datasets import load_digits
from test_edges_by_sdk import photograph
from test_existing import square
from test_fan import digits
from test_jax import shards

from samples import load_sample
from tests.documented import DOCUMENTED
from tests.embedded.embedded_auth import ROOT, Office, server
from tests.long import long
from tests.with_auth import GuardedPachyderm, guarded_pachyderm


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedPachyderm]:
    with guarded_pachyderm(tmp_path_factory.mktemp("guarded")) as running:
        yield running


def jobs(guarded: GuardedPachyderm, project: str) -> dict[str, pps.JobState]:
    """Pipeline → state of its one job with datums; that of the snapshot, which made it, has none."""
    every = guarded.client.pps.list_job(projects=[pfs.Project(name=project)])
    found = [one for one in every if one.data_total]
    states = {one.job.pipeline.name: one.state for one in found}
    assert len(states) == len(found)
    return states


def test_edges(guarded: GuardedPachyderm) -> None:
    guarded.allow(vision="projectWriter")
    guarded.put_for("repoWriter", "vision/images", {"/a.png": photograph(0)})
    assert load_sample("edges").edge_detection(sigma=1.0).output.startswith("vision/montage@")
    assert set(jobs(guarded, "vision").values()) == {pps.JobState.JOB_SUCCESS}
    assert set(jobs(guarded, "vision")) == {"edges", "montage"}


def test_digits(guarded: GuardedPachyderm) -> None:
    data, text = load_digits(), io.BytesIO()
    np.savetxt(text, np.column_stack([data.data, data.target])[:300], delimiter=",", fmt="%d")
    guarded.allow(digits="projectWriter")
    guarded.put_for("repoWriter", "digits/scans", {"/first.csv": text.getvalue()})
    assert load_sample("digits").digits().output.startswith("digits/evaluate@")
    assert jobs(guarded, "digits") == dict.fromkeys(
        ("prepare", "train", "evaluate"), pps.JobState.JOB_SUCCESS
    )


@long
def test_dask(guarded: GuardedPachyderm) -> None:
    guarded.allow(rides="projectWriter")
    content = io.BytesIO()
    pd.DataFrame({"hour": [1, 2], "borough": ["Bronx", "Queens"], "fare": [9.5, 8.0]}).to_parquet(content)
    guarded.put_for("repoWriter", "rides/rides", {"/0.parquet": content.getvalue()})
    assert load_sample("dask").rides(workers=1).output.startswith("rides/by-hour@")
    assert jobs(guarded, "rides") == {"by-hour": pps.JobState.JOB_SUCCESS}


def test_minio(guarded: GuardedPachyderm) -> None:
    guarded.allow(words="projectWriter")
    guarded.put_for("repoWriter", "words/texts", {"/a.txt": "to be"})
    assert load_sample("minio").word_count().output == 2


def test_yaml(guarded: GuardedPachyderm) -> None:
    guarded.allow(statistics="projectWriter")
    guarded.put_for("repoWriter", "statistics/tables", {"/a.csv": "day,rides\n1,10\n"})
    assert load_sample("yaml").summaries().output == 1


@long
def test_jax(guarded: GuardedPachyderm) -> None:
    guarded.allow(jax="projectWriter")
    guarded.put_for("repoWriter", "jax/digits", shards(2, 20))
    load_sample("jax").digits(epochs=1)
    assert jobs(guarded, "jax") == {"train": pps.JobState.JOB_SUCCESS}


@long
def test_container(guarded: GuardedPachyderm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container component runs as a process, by samples/container/run.py."""
    handler = subprocess_task_handler.SubprocessTaskHandler
    monkeypatch.setattr(handler, "validate_not_container_component", lambda *_: None)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    guarded.allow(words="projectWriter")
    guarded.put_for("repoWriter", "words/texts", {"/a.txt": "to be"})
    assert load_sample("container").words().output.startswith("words/frequent-words@")


def test_cross(guarded: GuardedPachyderm) -> None:
    guarded.allow(studio="projectWriter")
    guarded.put_for("repoWriter", "studio/images", {"/a.png": square()})
    guarded.put_for("repoWriter", "studio/filters", {"/soft": "BLUR", "/drawn": "FIND_EDGES"})
    load_sample("cross").filters()
    job = next(guarded.client.pps.list_job(projects=[pfs.Project(name="studio")]))
    assert (job.data_processed, job.state) == (2, pps.JobState.JOB_SUCCESS)


@long
def test_fan(guarded: GuardedPachyderm) -> None:
    guarded.allow(fan="projectWriter")
    guarded.put_for("repoWriter", "fan/scans", {"/digits.csv": digits()})
    assert load_sample("fan").fan(gammas=[0.1, 0.001]).output.startswith("fan/pick@")
    every = guarded.client.pps.list_job(projects=[pfs.Project(name="fan")])
    assert {one.state for one in every} == {pps.JobState.JOB_SUCCESS}


def test_existing(guarded: GuardedPachyderm) -> None:
    guarded.put_for("repoWriter", "images", {"/square.png": square()})
    code = "import os; assert os.environ['S3_ENDPOINT']"
    spec = {
        **json.loads(DOCUMENTED),
        "input": {"pfs": {"glob": "/", "repo": "images", "s3": True}},
        "transform": {"cmd": ["python3", "-c", code], "image": "pachyderm/opencv"},
    }
    guarded.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    guarded.office.bind(guarded.robot, "default/test", "repoWriter")
    in_place = load_sample("existing", "in_place").in_place().output

    theirs = pps.Pipeline(name="test", project=pfs.Project(name="default"))
    assert [f"default/test@{one.job.id}" for one in guarded.client.pps.list_job(pipeline=theirs)] == [
        in_place
    ]
    guarded.client.pps.delete_pipeline(pipeline=theirs)
    with pytest.warns(UserWarning, match="Pachyderm refuses this spelling"):
        sample = load_sample("existing")
    # The project is `default`, where everybody may make repos.
    assert sample.documented().output.startswith("default/test@")


def test_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its author puts the data and runs the steps, and needs no role in the project `default`."""
    with server(tmp_path / ".pachyderm", "--auth", KFP_PACHYDERM_ROOT_TOKEN=ROOT) as address:
        token, author = Office(address).robot()
        for name in ("PACH_PYTHON_AUTH_TOKEN", "KFP_PACHYDERM_TOKEN"):
            monkeypatch.setenv(name, token)
        execute = load_sample("notebooks", "execute")
        execute.execute(execute.FOLDER / "first_steps.ipynb", str(tmp_path))
        found = list(
            author.pps.list_job(pipeline=pps.Pipeline(name="draw", project=pfs.Project(name="default")))
        )
    assert [one.state for one in found] == [pps.JobState.JOB_SUCCESS] * 2
