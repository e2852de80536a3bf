"""Functions that several measurements use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from kfp_pachyderm.launcher.config import StepConfig, dumps


def start_step(address: str, folder: Path, config: StepConfig, *command: str) -> subprocess.Popen[bytes]:
    """A step's launcher as KFP starts it.

    Args:
        address: pachd's.
        folder: for what KFP gets; made here.
        config: the step's.
        command: the user's.
    """
    folder.mkdir(parents=True)
    files = {"parameters": {"commit": {"outputFile": str(folder / "commit")}}}
    text = json.dumps({"outputs": {**files, "outputFile": str(folder / "output_metadata.json")}})
    launcher = [sys.executable, "-m", "kfp_pachyderm.launcher", dumps(config), "--executor-input", text, "--"]
    return subprocess.Popen(
        [*launcher, *command],
        env={**os.environ, "KFP_PACHYDERM_ADDRESS": address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def make_repo(client: Any, project: str, name: str, files: dict[str, bytes]) -> Any:
    """A repo with one finished commit of these files; returns the commit."""
    from pachyderm_sdk.api import pfs

    where = pfs.Project(name=project)
    if not client.pfs.project_exists(where):
        client.pfs.create_project(project=where)
    repo = pfs.Repo(name=name, type="user", project=where)
    client.pfs.create_repo(repo=repo)
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        for path, content in files.items():
            commit.put_file_from_bytes(path=path, data=content)
    client.pfs.wait_commit(commit)
    return commit


def peak_mib(pid: int) -> float:
    """A process's peak resident memory in MiB, as Linux counted it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmHWM")
