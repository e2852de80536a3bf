"""Runs the sample `jax` on the embedded Pachyderm, with scikit-learn's handwritten digits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pipeline import digits  # the sample, in this folder
from sklearn.datasets import load_digits

import kfp_pachyderm as pachyderm

PROJECT = pfs.Project(name="jax")
DIGITS = pfs.Repo(name="digits", type="user", project=PROJECT)
#: Digits in one object.
SHARD = 100


def shards() -> dict[str, bytes]:
    """The 1797 digits, 8 x 8 pixels each, in objects of 100."""
    data, found = load_digits(), {}
    for number, start in enumerate(range(0, len(data.target), SHARD)):
        content, part = io.BytesIO(), slice(start, start + SHARD)
        np.savez(content, pixels=data.data[part].astype(np.uint8), labels=data.target[part])
        found[f"/{number:03}.npz"] = content.getvalue()
    return found


def put_digits(client: Client) -> None:
    """Makes the repo and one commit in it."""
    if not client.pfs.project_exists(PROJECT):
        client.pfs.create_project(project=PROJECT)
    if not client.pfs.repo_exists(DIGITS):
        client.pfs.create_repo(repo=DIGITS)
    with client.pfs.commit(branch=pfs.Branch(repo=DIGITS, name="master")) as commit:
        for path, content in shards().items():
            commit.put_file_from_bytes(path=path, data=content)
    client.pfs.wait_commit(commit)


def main() -> None:
    """Writes the picture of the loss to ./.jax/loss.png."""
    here = Path(".jax").resolve()
    with pachyderm.local.init(here / "pachyderm") as embedded:
        put_digits(embedded.client)
        accuracy = digits().output
        trained = pfs.Branch(repo=pfs.Repo(name="train", type="user", project=PROJECT), name="master")
        file = pfs.File(commit=pfs.Commit(repo=trained.repo, branch=trained), path="/loss.png")
        with embedded.client.pfs.pfs_file(file=file) as picture:
            (here / "loss.png").write_bytes(picture.read())
    print(f"{here / 'loss.png'}  {accuracy:.1%} of the held-out digits right")


if __name__ == "__main__":
    main()
