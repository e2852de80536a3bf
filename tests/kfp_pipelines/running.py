"""Files of KFP pipelines, run on this machine as they are and with everything wrapped."""

from __future__ import annotations

import hashlib
import inspect
import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from compiling import describe, executed, pipelines
from everything_wrapped import REPO, everything_wrapped
from kfp import local
from pachyderm_sdk.api import pfs

import kfp_pachyderm
from kfp_pachyderm.authoring.ir import ADDED
from kfp_pachyderm.local import LocalPachyderm


def differs(folder: Path, name: str, target: Path, pachyderm: LocalPachyderm) -> str:
    """Runs a file's pipelines plain and wrapped; returns the differences of their outputs, "" for none.

    Args:
        folder: the folder of all files.
        name: the file, relative to the folder.
        target: a folder for the runs, which does not exist yet.
        pachyderm: a running Pachyderm with the repo that every component reads.
    """
    with executed(folder, name) as module:
        names = [one.name for one in pipelines(module)]
    found = (_differs(folder, name, each, target / each, pachyderm) for each in names)
    return "; ".join(filter(None, found))


def _differs(folder: Path, name: str, pipeline: str, target: Path, pachyderm: LocalPachyderm) -> str:
    # Steps of the same name in different KFP pipelines must not be one Pachyderm pipeline.
    project = "run-" + hashlib.sha256(f"{name} {pipeline}".encode()).hexdigest()[:16]
    pachyderm.client.pfs.create_project(project=pfs.Project(name=project))
    plain = _run(folder, name, pipeline, target / "plain", nullcontext())
    wrapped = _run(folder, name, pipeline, target / "wrapped", everything_wrapped(project))
    if plain["error"] or not plain["tasks"]:
        return f"{pipeline}, plain, does not run: {plain['error']}"
    return "" if plain == wrapped else f"{pipeline}, plain {plain}, wrapped {wrapped}"


def ready(data: Path) -> LocalPachyderm:
    """An embedded Pachyderm with the repo that every component reads."""
    pachyderm = kfp_pachyderm.local.init(data)
    repo = pfs.Repo.from_uri(f"default/{REPO}")
    pachyderm.client.pfs.create_repo(repo=repo)
    with pachyderm.client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        commit.put_file_from_bytes(path="/one", data=b"1")
    return pachyderm


def _run(
    folder: Path, name: str, pipeline: str, root: Path, patches: AbstractContextManager[None]
) -> dict[str, Any]:
    """Runs a pipeline; returns the outputs of each task, and the files at the paths that it was given."""
    with patches, executed(folder, name) as module:
        one = next(each for each in pipelines(module) if each.name == pipeline)
    files = root.with_suffix(".files")
    files.mkdir(parents=True)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root), raise_on_error=False)
    failed = ""
    try:
        one(**_arguments(one, files))
    except Exception as error:
        failed = describe(error)
    written = {file.name: file.read_text() for file in sorted(files.iterdir())}
    return {"tasks": _tasks(root), "files": written, "error": failed}


def _arguments(pipeline: Any, files: Path) -> dict[str, str]:
    """A file for every argument that has no default: KFP's pipelines have no others."""
    signature = inspect.signature(pipeline.pipeline_func)
    return {
        name: str(files / name)
        for name, one in signature.parameters.items()
        if one.default is inspect.Parameter.empty
    }


def _tasks(root: Path) -> dict[str, Any]:
    """The outputs of every task of the run, without those that wrapping adds."""
    found = {}
    for file in sorted(root.glob("*/**/executor_output.json")):
        written = json.loads(file.read_text())
        values = {
            name: value for name, value in written.get("parameterValues", {}).items() if name not in ADDED
        }
        artifacts = {
            name: [Path(each["uri"]).read_text() for each in one["artifacts"]]
            for name, one in written.get("artifacts", {}).items()
            if name not in ADDED
        }
        # The first folder is the run's, with its time in the name.
        task = "/".join(file.parent.relative_to(root).parts[1:])
        if not task.startswith("pachyderm-snapshot"):
            found[task] = {"values": values, "artifacts": artifacts}
    return found
