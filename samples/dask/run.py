"""Runs the sample `dask` on the embedded Pachyderm: four days of made-up rides, two workers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pipeline import rides  # the sample, in this folder

import kfp_pachyderm as pachyderm

PROJECT = pfs.Project(name="rides")
RIDES = pfs.Repo(name="rides", type="user", project=PROJECT)
BOROUGHS = ["Bronx", "Brooklyn", "Manhattan", "Queens"]


def made_up(day: int, count: int = 5000) -> bytes:
    """A day's rides as Parquet: most of them in the evening.

    Args:
        day: another one, other rides.
        count: of them.
    """
    draw = np.random.default_rng(day)
    hours = np.clip(draw.normal(18, 5, count), 0, 23).astype(int)
    fares = np.round(draw.gamma(3, 5, count), 2)
    table = pd.DataFrame({"hour": hours, "borough": draw.choice(BOROUGHS, count), "fare": fares})
    content = io.BytesIO()
    table.to_parquet(content)
    return content.getvalue()


def put_rides(client: Client, days: int) -> None:
    """Commits a file for each day.

    Args:
        client: of the embedded Pachyderm.
        days: how many.
    """
    if not client.pfs.project_exists(PROJECT):
        client.pfs.create_project(project=PROJECT)
    if not client.pfs.repo_exists(RIDES):
        client.pfs.create_repo(repo=RIDES)
    with client.pfs.commit(branch=pfs.Branch(repo=RIDES, name="master")) as commit:
        for day in range(days):
            commit.put_file_from_bytes(path=f"/{day}.parquet", data=made_up(day))
    client.pfs.wait_commit(commit)


def main() -> None:
    """Writes the plot to ./.dask and says which commit has the rest."""
    here = Path(".dask").resolve()
    with pachyderm.local.init(here / "pachyderm") as embedded:
        put_rides(embedded.client, 4)
        made = rides().output
        repo = pfs.Repo(name="by-hour", type="user", project=PROJECT)
        commit = pfs.Commit(repo=repo, id=made.removeprefix("rides/by-hour@"))
        with embedded.client.pfs.pfs_file(file=pfs.File(commit=commit, path="/day.png")) as plot:
            (here / "day.png").write_bytes(plot.read())
        print(f"{here / 'day.png'}  made by {made}")
        for found in embedded.client.pfs.walk_file(file=pfs.File(commit=commit, path="/hours")):
            print(found.file.path)


if __name__ == "__main__":
    main()
