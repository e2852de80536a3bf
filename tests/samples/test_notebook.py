"""The notebooks run from start to end, and the committed outputs are those of a new run."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image

from samples import SAMPLES
from tests.waiting import PATIENCE

#: A kernel, a server and several steps each: on a machine that does much else, minutes.
pytestmark = pytest.mark.timeout(600)
FOLDER = SAMPLES / "notebooks"
NOTEBOOK, CLUSTER = FOLDER / "first_steps.ipynb", FOLDER / "laptop_to_cluster.ipynb"
PROVENANCE = FOLDER / "provenance.ipynb"


def outputs(path: Path) -> list[dict[str, Any]]:
    """The output of every code cell: MIME type → content; {}: it has none."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    return [dict(cell.outputs[0].data) if cell.outputs else {} for cell in cells]


def run(name: str, folder: Path) -> list[dict[str, Any]]:
    target = folder / "executed.ipynb"
    command = [sys.executable, str(FOLDER / "execute.py"), name, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return outputs(target)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run("first_steps", tmp_path_factory.mktemp("notebook"))


def picture(output: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(output["image/png"]))))


def test_pictures_job_and_commit_are_seen(executed: list[dict[str, Any]]) -> None:
    photograph, drawing, two_drawings, drawing_again = [
        picture(one) for one in executed if "image/png" in one
    ]
    assert photograph.shape == drawing.shape == (200, 308, 3)
    assert two_drawings.shape == (200, 616, 3)
    assert np.mean(photograph) < 200 < np.mean(drawing) < 254, "a photograph; lines on white paper"
    assert np.array_equal(drawing, drawing_again), "a commit does not change"
    texts = [one["text/plain"] for one in executed if one and "image/png" not in one]
    (commit,) = re.findall(r"default/draw@[0-9a-f]{32}", texts[0])
    job = commit.partition("@")[2]
    assert f"'job': '{job}'" in texts[1]
    assert "'state': 'SUCCESS'" in texts[1]
    (photo,) = re.findall(r"'input_photos': 'default/(photos@[0-9a-f]{32})'", texts[1])
    assert texts[2] == f"['{photo}']"
    assert texts[3] == "['draw', 'pachyderm-snapshot']"


def test_committed_outputs_are_those_of_a_run(executed: list[dict[str, Any]]) -> None:
    for now, committed in zip(executed, outputs(NOTEBOOK), strict=True):
        assert now.keys() == committed.keys(), "run it again: make notebook"
        if "image/png" in now:
            assert np.abs(picture(now).astype(int) - picture(committed)).mean() < 3
        else:
            assert masked(now) == masked(committed), "run it again: make notebook"


def masked(output: dict[str, Any]) -> str:
    """The outputs without what differs from run to run: IDs, times, records' digests and their sizes."""
    text = output.get("text/html", "") + output.get("text/plain", "")
    text = re.sub("sha256:[0-9a-f]{8,64}|[0-9a-f]{32}", "<id>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T-]\d\d[:-]\d\d[:-]\d\d(-\d{6})?", "<time>", text)
    return re.sub(r"\d+\.\d s\b|\d+ min \d+ s", "<duration>", text)


def test_from_the_laptop_to_the_cluster(tmp_path: Path) -> None:
    # On an embedded Pachyderm, by a port-forward of the fake Kubernetes, and by its address.
    now = run("laptop_to_cluster", tmp_path)
    assert [masked(one) for one in now] == [masked(one) for one in outputs(CLUSTER)], "make notebook"
    trial, outside, record, inside, commits = [one["text/plain"] for one in now if one]
    assert (trial, outside, inside) == ("3", "6", "10")
    assert "'state': 'SUCCESS'" in record
    assert commits == "['words/count', 'words/count']"


def test_the_story_of_one_model(tmp_path: Path) -> None:
    now, committed = run("provenance", tmp_path), outputs(PROVENANCE)
    assert [masked(one) for one in now] == [masked(one) for one in committed], "make notebook"
    story, model, data, below, newest, diff, verified, forged = (one for one in now if one)
    for card, said in (
        (story, ("train", "average", "papers", "SUCCESS")),
        (model, ("weight=0.6", "/model.json (", "data:image/png;base64,", "SUCCESS")),
        (data, ("/dark.png (", "/grey.png (", "data:image/png;base64,")),
        (below, ("What was made from default/papers@", "train")),
        (newest, ("KFP run paper-model-", "2 in default")),
    ):
        assert all(one in card["text/html"] for one in said)
    assert "parameter weight: 0.5 -> 0.6" in diff["text/plain"]
    assert "/shades.json (38 B -> 57 B)" in diff["text/plain"]
    assert "is what its record says" in verified["text/plain"]
    assert forged["text/plain"] == "['record']"


@pytest.mark.parametrize("notebook", [NOTEBOOK, CLUSTER, PROVENANCE], ids=lambda one: one.stem)
def test_nothing_of_a_machine_is_committed(notebook: Path) -> None:
    text = re.sub(r'"image/png": "[^"]*"', "", notebook.read_text())
    text = text.replace("grpc://pachd.pachyderm:30650", "")
    assert not re.search(r"127\.0\.0\.1|localhost|/tmp|/home|/root|/work|https?://|:\d{4,5}\b", text)
    assert '"output_type": "stream"' not in text
    assert '"output_type": "error"' not in text
