"""The sample `fan`: a loop side by side, all of it read by one step, and what Pachyderm says of it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pachyderm_sdk.api import pfs
from PIL import Image
from sklearn.datasets import load_digits

from samples import SAMPLES, load_sample


def digits() -> bytes:
    data, text = load_digits(), io.BytesIO()
    np.savetxt(text, np.column_stack([data.data, data.target])[:400], delimiter=",", fmt="%d")
    return text.getvalue()


def test_the_best_of_a_loop_is_picked_and_comes_from_all_of_it(pachyderm: Any) -> None:
    pachyderm.put("fan/scans", {"/digits.csv": digits()})

    made = pfs.Commit.from_uri(load_sample("fan").fan(gammas=[0.1, 0.001]).output)

    def read(commit: pfs.Commit, path: str) -> bytes:
        with pachyderm.client.pfs.pfs_file(file=pfs.File(commit=commit, path=path)) as content:
            return bytes(content.read())

    def made_from(commit: pfs.Commit) -> list[pfs.Commit]:
        found = pachyderm.client.pfs.inspect_commit(commit=commit).direct_provenance
        return [one for one in found if one.repo.type == "user"]

    with Image.open(io.BytesIO(read(made, "/grid.png"))) as picture:
        assert picture.size == (600, 350)
    (gathered,) = made_from(made)
    models = {read(one, "/model.joblib") for one in made_from(gathered)}
    assert len(models) == 2
    assert read(made, "/model.joblib") == read(gathered, "/1/model.joblib")
    assert read(made, "/model.joblib") in models


def test_its_picture_is_the_one_that_it_draws() -> None:
    with Image.open(SAMPLES / "fan" / "grid.png") as picture:
        assert picture.size == (600, 350)
    assert "grid.png" in (SAMPLES / "fan" / "README.md").read_text()
