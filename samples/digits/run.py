"""Runs the sample `digits` twice on the embedded Pachyderm: on half of the scans, then on all of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pipeline import digits  # the sample, in this folder
from sklearn.datasets import load_digits

import kfp_pachyderm as pachyderm

PROJECT = pfs.Project(name="digits")
SCANS = pfs.Repo(name="scans", type="user", project=PROJECT)


def put_scans(client: Client, name: str, rows: np.ndarray) -> None:
    """Adds one file of scans to the repo, as one commit.

    Args:
        client: of the embedded Pachyderm.
        name: the file's name.
        rows: digits, 65 numbers each: 64 pixels and the digit.
    """
    if not client.pfs.project_exists(PROJECT):
        client.pfs.create_project(project=PROJECT)
    if not client.pfs.repo_exists(SCANS):
        client.pfs.create_repo(repo=SCANS)
    text = io.BytesIO()
    np.savetxt(text, rows, delimiter=",", fmt="%d")
    with client.pfs.commit(branch=pfs.Branch(repo=SCANS, name="master")) as commit:
        commit.put_file_from_bytes(path=f"/{name}", data=text.getvalue())
    client.pfs.wait_commit(commit)


def main() -> None:
    """Writes the two plots to ./.digits and says which commits made them."""
    here = Path(".digits").resolve()
    data = load_digits()
    rows = np.column_stack([data.data, data.target])
    with pachyderm.local.init(here / "pachyderm") as embedded:
        for name, part in (("first.csv", rows[:900]), ("second.csv", rows[900:])):
            put_scans(embedded.client, name, part)
            made = digits().output
            evaluated = pfs.Repo(name="evaluate", type="user", project=PROJECT)
            commit = pfs.Commit(repo=evaluated, id=made.removeprefix("digits/evaluate@"))
            target = here / f"{Path(name).stem}.png"
            with embedded.client.pfs.pfs_file(file=pfs.File(commit=commit, path="/confusion.png")) as plot:
                target.write_bytes(plot.read())
            print(f"{target}  made by {made}")


if __name__ == "__main__":
    main()
