"""Runs the sample `yaml` on the embedded Pachyderm."""

from __future__ import annotations

from pathlib import Path

from pachyderm_sdk.api import pfs
from pipeline import summaries  # the sample, in this folder

import kfp_pachyderm as pachyderm

TABLES = {"/january.csv": b"day,rides\n1,10\n2,20\n", "/february.csv": b"day,rides\n1,5\n"}


def main() -> None:
    """Prints the summary and what it was made from."""
    project = pfs.Project(name="statistics")
    tables = pfs.Repo(name="tables", type="user", project=project)
    with pachyderm.local.init(Path(".yaml").resolve()) as embedded:
        client = embedded.client
        if not client.pfs.project_exists(project):
            client.pfs.create_project(project=project)
        if not client.pfs.repo_exists(tables):
            client.pfs.create_repo(repo=tables)
        with client.pfs.commit(branch=pfs.Branch(repo=tables, name="master")) as commit:
            for path, text in TABLES.items():
                commit.put_file_from_bytes(path=path, data=text)
        print(summaries().output, "rows")
        made = pfs.Branch(repo=pfs.Repo(name="summarize", type="user", project=project), name="master")
        file = pfs.File(commit=pfs.Commit(repo=made.repo, branch=made), path="/summary.csv")
        with client.pfs.pfs_file(file=file) as summary:
            print(summary.read().decode())


if __name__ == "__main__":
    main()
