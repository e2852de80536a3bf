"""`kfp-pachyderm lineage`, against commits of a real embedded Pachyderm."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner
from pachyderm_sdk.api import pfs

from kfp_pachyderm.cli import main
from kfp_pachyderm.cli.tree import tree
from kfp_pachyderm.pachyderm.lineage import Origin
from kfp_pachyderm.pachyderm.references import Reference


def test_shows_the_commit_and_what_it_was_made_from(pachyderm: Any) -> None:
    source = pachyderm.put("vision/images", {"/a.txt": "a"})
    images = pfs.Repo(name="images", type="user", project=pfs.Project(name="vision"))
    derived = pfs.Repo(name="derived", type="user", project=pfs.Project(name="vision"))
    pachyderm.client.pfs.create_repo(repo=derived)
    pachyderm.client.pfs.create_branch(
        branch=pfs.Branch(repo=derived, name="master"), provenance=[pfs.Branch(repo=images, name="master")]
    )
    derived_id = pachyderm.client.pfs.inspect_branch(branch=pfs.Branch(repo=derived, name="master")).head.id

    shown = CliRunner().invoke(main, ["lineage", "vision/derived@master", "--address", pachyderm.address])

    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines() == [f"vision/derived@{derived_id}", f"  {source}"]


def test_a_missing_commit_is_one_line(pachyderm: Any) -> None:
    shown = CliRunner().invoke(main, ["lineage", "vision/nothing@master", "--address", pachyderm.address])
    assert shown.exit_code == 1
    assert "vision/nothing" in shown.output
    assert "Traceback" not in shown.output


def test_a_shared_source_is_opened_once() -> None:
    def commit(name: str) -> Reference:
        return Reference("p", name, "0" * 32)

    top, left, right, root, data = map(commit, ("top", "left", "right", "root", "data"))
    origins = [
        Origin(top, (left, right), {}),
        Origin(left, (root,), {}),
        Origin(right, (root,), {}),
        Origin(root, (data,), {}),
        Origin(data, (), {"kfp-pachyderm/keys": "percent"}),
    ]
    assert [line.replace("@" + "0" * 32, "") for line in tree(origins)] == [
        "p/top",
        "  p/left",
        "    p/root",
        "      p/data  (keys are percent-encoded)",
        "  p/right",
        "    p/root  (inputs above)",
    ]
