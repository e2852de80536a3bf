"""`diff` of what real steps have made: commits, and runs task by task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from launcher_steps import Runner, numbers, put  # type: ignore[import-not-found]

from kfp_pachyderm.cli import main
from kfp_pachyderm.embedded.process import EmbeddedProcess
from kfp_pachyderm.errors import CommitReferenceError, NotFoundError
from kfp_pachyderm.launcher.config import COMPILED_VARIABLE
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance import diff
from kfp_pachyderm.provenance.compare.model import Change, FileChange

WRITE = """
import boto3
s3 = boto3.client("s3")
for key, size in {files}:
    s3.put_object(Bucket="out", Key=key, Body=b"x" * size)
"""


class Two:
    """One step in two runs: other data, parameters, code, versions."""

    def __init__(self, address: str, pachd: Pachd, folder: Path) -> None:
        self.address, self.pachd = address, pachd
        self.task = Runner(address, pachd, folder).name
        self.data = [
            put(pachd, f"in-{self.task}", {"kept": b"1", "changed": b"1"}),
            put(pachd, f"in-{self.task}", {"new": b"123", "changed": b"2"}),
        ]
        self.runs = [f"run-{next(numbers)}" for _ in range(2)]
        self.folder = folder
        self.commits = [
            self.run(0, [("a", 1), ("same", 5)], "1", sigma=1.0, kept=5, gone="x", token="one"),
            self.run(1, [("a", 2000), ("b", 3), ("same", 5)], "2", sigma=2.0, kept=5, token="two"),
        ]

    def run(self, which: int, files: list[tuple[str, int]], commit: str, **parameters: Any) -> Reference:
        folder = self.folder / "pipeline" / self.runs[which] / self.task / str(next(numbers))
        folder.mkdir(parents=True)
        runner = Runner(self.address, self.pachd, folder, name=self.task, output_file="output_metadata.json")
        config = runner.config(image=f"python:3.{which}", digest=f"sha256:{which}", private=("token",))
        compiled = {"kfp": f"2.{which}", "commit": commit * 40, "dirty": bool(which)}
        env = {COMPILED_VARIABLE: json.dumps(compiled)}
        images = f"in-{self.task}@{self.data[which]}"
        process = runner.start(WRITE.format(files=files), config, env, images=images, **parameters)
        ended = runner.end(process)
        assert ended.code == 0
        return Reference("default", self.task, ended.job)


@pytest.fixture(scope="module")
def two(embedded: EmbeddedProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with connect(parse(embedded.address)) as pachd:
        yield Two(embedded.address, pachd, tmp_path_factory.mktemp("two"))


def test_two_commits(two: Two) -> None:
    before, after = map(str, two.commits)
    (step,) = diff(before, after, client=two.pachd).steps
    assert (step.task, step.before, step.after, step.same) == (two.task, before, after, False)
    (images,) = step.inputs
    repo = f"default/in-{two.task}@"
    assert (images.name, images.before, images.after) == ("images", repo + two.data[0], repo + two.data[1])
    assert images.files == (FileChange("/changed", "changed", 1, 2), FileChange("/new", "added", None, 3))
    assert step.code == (
        Change("component digest", "sha256:0", "sha256:1"),
        Change("image", "python:3.0", "python:3.1"),
    )
    assert any(line.startswith("-for key, size in [('a', 1)") for line in step.command)
    assert step.parameters == (Change("gone", '"x"', None), Change("sigma", "1.0", "2.0"))
    assert [(one.name, one.before, one.after) for one in step.versions] == [
        ("kfp", "2.0", "2.1"),
        ("git commit", "1" * 40, "2" * 40),
        ("uncommitted changes", "no", "yes"),
    ]
    assert step.files == (FileChange("/a", "changed", 1, 2000), FileChange("/b", "added", None, 3))
    assert step.unseen == ("parameter token: it is private, and not recorded",)


def test_two_runs_and_a_commit_with_itself(two: Two) -> None:
    found = diff(*two.runs, client=two.pachd)
    assert found.steps == diff(*map(str, two.commits), client=two.pachd).steps
    assert (found.before, found.after) == tuple(two.runs)
    same = diff(str(two.commits[0]), str(two.commits[0]), client=two.pachd)
    assert same.same
    back = diff(*map(str, reversed(two.commits)), client=two.pachd).steps[0]
    assert [one.kind for one in back.files] == ["changed", "removed"]


def shown(two: Two, *arguments: str) -> str:
    ended = CliRunner().invoke(main, ["diff", *arguments, "--address", two.address])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_text_json_and_html(two: Two, tmp_path: Path) -> None:
    text = shown(two, *two.runs)
    for line in (
        f"{two.task}: {two.commits[0]} -> {two.commits[1]}",
        "  code image: python:3.0 -> python:3.1",
        "    + /new (3 B)",
        '  parameter gone: "x" -> none',
        "  file ~ /a (1 B -> 2.0 KiB)",
        "  not compared: parameter token: it is private, and not recorded",
    ):
        assert line in text.splitlines()
    data = json.loads(shown(two, *two.runs, "--json"))
    assert (data["version"], data["same"]) == (1, False)
    assert data["steps"][0]["parameters"][1] == {"name": "sigma", "before": "1.0", "after": "2.0"}
    file = tmp_path / "diff.html"
    shown(two, *two.runs, "--html", "-o", str(file))
    page = file.read_text()
    assert page.startswith("<!doctype html>")
    assert "python:3.1" in page
    assert "src=" not in page
    assert "http" not in page
    same = shown(two, str(two.commits[0]), f"default/{two.task}@{two.commits[0].version}")
    assert same.splitlines()[-1] == "nothing else differs"


def test_what_can_not_be_compared(two: Two) -> None:
    commit = str(two.commits[0])
    with pytest.raises(CommitReferenceError, match="two commits"):
        diff(commit, two.runs[0], client=two.pachd)
    with pytest.raises(NotFoundError):
        diff(two.runs[0], "no-such-run", client=two.pachd)
    with pytest.raises(NotFoundError):
        diff(commit, f"{two.task}@{'0' * 32}", client=two.pachd)
    data = f"in-{two.task}@"
    (step,) = diff(data + two.data[0], data + two.data[1], client=two.pachd).steps
    assert [one.path for one in step.files] == ["/changed", "/new"]
    (text,) = step.unseen
    assert "have no record of them" in text
