"""One snapshot of the inputs for all steps of a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from launcher_steps import Runner, put  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import InputConfig, SnapshotConfig, dumps
from tests.waiting import PATIENCE


def run(
    step: Runner,
    tmp_path: Path,
    references: dict[str, str],
    optional: tuple[str, ...] = (),
    elements: tuple[str, ...] = (),
    **given: str,
) -> subprocess.CompletedProcess[str]:
    outputs = {name: {"outputFile": str(tmp_path / "out" / name)} for name in references}
    text = json.dumps({"inputs": {"parameterValues": given}, "outputs": {"parameters": outputs}})
    argv = [
        dumps(SnapshotConfig("default", references, optional, timeout=PATIENCE, elements=elements)),
        "--executor-input",
        text,
        "--",
        "kfp.dsl.executor_main",
    ]
    env = {**os.environ, "KFP_PACHYDERM_ADDRESS": step.address}
    command = [sys.executable, "-m", "kfp_pachyderm.launcher", *argv]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)


def test_every_reference_becomes_a_commit(step: Runner, tmp_path: Path) -> None:
    first = step.fill()
    second = step.fill(a=b"new")
    repo = f"in-{step.name}"
    references = {"a": f"default/{repo}@master", "b": f"default/{repo}@master", "c": ""}
    ended = run(step, tmp_path, references, b=f"{repo}@{first}", c=f"{repo}@master")
    assert ended.returncode == 0, ended.stderr
    found = {name: (tmp_path / "out" / name).read_text() for name in references}
    assert found == {
        "a": f"default/{repo}@{second}",
        "b": f"default/{repo}@{first}",
        "c": f"default/{repo}@{second}",
    }


def test_a_missing_branch_writes_nothing(step: Runner, tmp_path: Path) -> None:
    step.fill()
    references = {"a": f"default/in-{step.name}@master", "b": f"default/in-{step.name}@nowhere"}
    ended = run(step, tmp_path, references)
    assert ended.returncode == 1
    assert "BranchNotFoundError" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_what_may_not_be_read_is_left_open(step: Runner, tmp_path: Path) -> None:
    first = step.fill()
    repo = f"in-{step.name}"
    references = {"a": f"default/{repo}@master", "b": "default/nowhere@master", "c": "default/nothere@x"}
    ended = run(step, tmp_path, references, optional=("a", "b", "c"), c="no reference")
    assert ended.returncode == 0, ended.stderr
    found = {name: (tmp_path / "out" / name).read_text() for name in references}
    assert found["a"] == f"default/{repo}@{first}"
    assert re.fullmatch(r"default/nowhere@master\?[0-9a-f]{32}", found["b"])
    assert re.fullmatch(r"no reference\?[0-9a-f]{32}", found["c"])
    assert "RepoNotFoundError: default/nowhere@master" in ended.stderr
    assert "CommitReferenceError: 'no reference'" in ended.stderr
    again = run(step, tmp_path, references, optional=("a", "b", "c"))
    assert again.returncode == 0
    # KFP's cache takes it for another input each time
    assert (tmp_path / "out" / "b").read_text() != found["b"]


def test_a_missing_branch_that_a_sure_step_reads_still_fails(step: Runner, tmp_path: Path) -> None:
    references = {"a": "default/nowhere@master", "b": "default/nothere@master"}
    ended = run(step, tmp_path, references, optional=("b",))
    assert ended.returncode == 1
    assert not (tmp_path / "out").exists()


def test_without_pachyderm_a_run_can_go_on_that_needs_none(step: Runner, tmp_path: Path) -> None:
    step.address = "grpc://127.0.0.1:1"
    ended = run(step, tmp_path, {"a": "default/images@master"}, optional=("a",))
    assert ended.returncode == 0, ended.stderr
    assert "PachydermUnreachableError" in ended.stderr
    assert (tmp_path / "out" / "a").read_text().startswith("default/images@master?")


def test_a_step_resolves_what_was_left_open(step: Runner) -> None:
    repo = f"in-{step.name}"
    left = f"default/{repo}@master?{'0' * 32}"
    missing = step.run("pass", images=left)
    assert missing.code == 1
    assert f"RepoNotFoundError: default/{repo}@master: project default has no repo" in missing.err
    commit = step.fill()
    there = step.run("pass", images=left)
    assert there.code == 0
    assert f" from images=default/{repo}@{commit}\n" in there.out
    assert "?" not in (step.folder / "pachyderm").read_text()


def test_a_list_may_have_a_commit_without_files_among_others(step: Runner, tmp_path: Path) -> None:
    """As the step that reads it: an empty folder, where it is not the only one."""
    repo = f"in-{step.name}"
    full, empty = (
        f"default/{repo}@{step.fill()}",
        f"default/{repo}@{put(step.pachd, repo, {}, branch='none')}",
    )
    references = {"a": f"default/{repo}@master", "b": f"default/{repo}@none"}
    refused = run(step, tmp_path, references, elements=("a",))
    assert (refused.returncode, "EmptyInputError" in refused.stderr) == (1, True)
    ended = run(step, tmp_path, references, optional=("b",), elements=("a", "b"))
    assert ended.returncode == 0, ended.stderr
    found = [(tmp_path / "out" / name).read_text() for name in references]
    assert found == [full, empty]
    many = step.config(inputs=(InputConfig("images", repo, many=True),))
    assert step.run("pass", many, images=found).code == 0
    assert "none of its 1 commits has files" in step.run("pass", many, images=[empty]).err
