"""The sample `minio`: code for MinIO's client, unchanged but for the decorator."""

from __future__ import annotations

import json
from typing import Any

from pachyderm_sdk.api import pfs

from samples import load_sample


def test_counts_into_the_output_commit(pachyderm: Any) -> None:
    pachyderm.put("words/texts", {"/a.txt": "to be or not", "/deep/b.txt": "To be"})

    assert load_sample("minio").word_count().output == 6

    output = pfs.Repo(name="count-words", type="user", project=pfs.Project(name="words"))
    file = pfs.File(
        commit=pfs.Commit(repo=output, branch=pfs.Branch(repo=output, name="master")), path="/counts.json"
    )
    with pachyderm.client.pfs.pfs_file(file=file) as counts:
        assert json.load(counts) == {"be": 2, "not": 1, "or": 1, "to": 2}
