"""One snapshot of the inputs for all steps of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from launcher_steps import Runner  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import SnapshotConfig, dumps
from tests.waiting import PATIENCE


def run(
    step: Runner, tmp_path: Path, references: dict[str, str], **given: str
) -> subprocess.CompletedProcess[str]:
    outputs = {name: {"outputFile": str(tmp_path / "out" / name)} for name in references}
    text = json.dumps({"inputs": {"parameterValues": given}, "outputs": {"parameters": outputs}})
    argv = [
        dumps(SnapshotConfig("default", references, timeout=PATIENCE)),
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
