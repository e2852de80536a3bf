"""Functions that several measurements use."""

from __future__ import annotations

from pathlib import Path
from typing import Any


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
