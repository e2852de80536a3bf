"""The sample `jax`: a training loop on the objects of the input bucket."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pachyderm_sdk.api import pfs
from PIL import Image
from sklearn.datasets import load_digits

from samples import load_sample


def shards(count: int, size: int) -> dict[str, bytes]:
    data, found = load_digits(), {}
    for number in range(count):
        content, part = io.BytesIO(), slice(number * size, (number + 1) * size)
        np.savez(content, pixels=data.data[part].astype(np.uint8), labels=data.target[part])
        found[f"/{number}.npz"] = content.getvalue()
    return found


def test_learns_from_all_objects_but_the_last(pachyderm: Any) -> None:
    pachyderm.put("jax/digits", shards(6, 60))

    accuracy = load_sample("jax").digits(epochs=10).output

    assert accuracy > 0.6, "a guess is right once in ten times"
    output = pfs.Repo(name="train", type="user", project=pfs.Project(name="jax"))
    head = pfs.Commit(repo=output, branch=pfs.Branch(repo=output, name="master"))
    with pachyderm.client.pfs.pfs_file(file=pfs.File(commit=head, path="/model.npz")) as file:
        model = np.load(io.BytesIO(file.read()))
    last = np.load(io.BytesIO(shards(6, 60)["/5.npz"]))
    hidden = np.maximum(last["pixels"] / 16 @ model["w1"] + model["b1"], 0)
    guessed = (hidden @ model["w2"] + model["b2"]).argmax(axis=1)
    assert abs((guessed == last["labels"]).mean() - accuracy) < 0.02, (
        "the kept model is the one that was judged"
    )
    with pachyderm.client.pfs.pfs_file(file=pfs.File(commit=head, path="/loss.png")) as file:
        assert Image.open(io.BytesIO(file.read())).size == (600, 300)
