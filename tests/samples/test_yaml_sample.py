"""The sample `yaml`: somebody's component YAML, wrapped."""

from __future__ import annotations

from typing import Any

from pachyderm_sdk.api import pfs

from samples import load_sample


def test_summarizes_into_the_output_commit(pachyderm: Any) -> None:
    first = pachyderm.put("statistics/tables", {"/a.csv": "day,rides\n1,10\n2,20\n"})
    pachyderm.put("statistics/tables", {"/b.csv": "day,rides\n1,5\n"})
    sample = load_sample("yaml")

    assert sample.summaries().output == 3
    assert sample.summaries(tables=first).output == 2

    output = pfs.Repo(name="summarize", type="user", project=pfs.Project(name="statistics"))
    head = pfs.Commit(repo=output, branch=pfs.Branch(repo=output, name="master"))
    with pachyderm.client.pfs.pfs_file(file=pfs.File(commit=head, path="/summary.csv")) as summary:
        assert summary.read() == b"file,rows,total\na.csv,2,30"
