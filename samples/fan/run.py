"""Runs the sample `fan` on the embedded Pachyderm, with scikit-learn's digits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pipeline import fan  # the sample, in this folder
from sklearn.datasets import load_digits

import kfp_pachyderm as pachyderm

PROJECT = pfs.Project(name="fan")


def put_scans(client: Client) -> None:
    """Puts the digits into the repo `scans`, as one commit.

    Args:
        client: of the embedded Pachyderm.
    """
    scans = pfs.Repo(name="scans", type="user", project=PROJECT)
    if client.pfs.repo_exists(scans):
        return
    if not client.pfs.project_exists(PROJECT):
        client.pfs.create_project(project=PROJECT)
    client.pfs.create_repo(repo=scans)
    data, text = load_digits(), io.BytesIO()
    np.savetxt(text, np.column_stack([data.data, data.target]), delimiter=",", fmt="%d")
    with client.pfs.commit(branch=pfs.Branch(repo=scans, name="master")) as commit:
        commit.put_file_from_bytes(path="/digits.csv", data=text.getvalue())
    client.pfs.wait_commit(commit)


def lineage(client: Client, commit: pfs.Commit, depth: int = 0) -> None:
    """Prints what a commit was made from."""
    print(f"{'  ' * depth}{commit.repo.name}@{commit.id}")
    for one in client.pfs.inspect_commit(commit=commit).direct_provenance:
        if one.repo.type == "user":
            lineage(client, one, depth + 1)


def main() -> None:
    """Writes the plot to ./.fan and says which commits are behind it."""
    here = Path(".fan").resolve()
    with pachyderm.local.init(here / "pachyderm") as embedded:
        put_scans(embedded.client)
        made = fan().output
        picked = pfs.Repo(name="pick", type="user", project=PROJECT)
        commit = pfs.Commit(repo=picked, id=made.removeprefix("fan/pick@"))
        target = here / "grid.png"
        with embedded.client.pfs.pfs_file(file=pfs.File(commit=commit, path="/grid.png")) as plot:
            target.write_bytes(plot.read())
        print(f"{target}  made by {made}, from")
        lineage(embedded.client, commit)


if __name__ == "__main__":
    main()
