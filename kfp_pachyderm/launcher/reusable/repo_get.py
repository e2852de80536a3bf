"""`repo/get`: a file or folder of a commit becomes an artifact."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kfp_pachyderm.errors import NotFoundError, ProtocolError
from kfp_pachyderm.launcher.child.datum_files import inside, write_file
from kfp_pachyderm.launcher.executor_input import local_path
from kfp_pachyderm.launcher.record.final import describe_artifact
from kfp_pachyderm.launcher.reusable.component_call import Call
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.references import Reference, commit_message, resolve
from kfp_pachyderm.pachd.sdk import pfs


def get(call: Call) -> None:
    """Writes what the input `commit` holds at the input `path` to the output `artifact`."""
    commit = resolve(call.pachd, call.reference("commit"), call.deadline, say)
    path = "/" + call.execution.parameter("path").strip("/")
    described = call.execution.artifact("artifact")
    if not described:
        raise ProtocolError('the component has no output "artifact"; take components/repo/get as it is')
    found = _walk(call, commit, path)
    say(f"getting {len(found)} files of {commit}")
    _write(call, commit, path, found, local_path(described["uri"]))
    size = sum(info.size_bytes for info in found)
    facts: dict[str, str | int] = {"path": path, "files": len(found), "size_bytes": size}
    describe_artifact(call.execution, "artifact", {"commit": str(commit), **facts})
    call.record(commit, facts)
    call.done("got", len(found), size, commit)


def _walk(call: Call, commit: Reference, path: str) -> list[pfs.FileInfo]:
    patient, file = (
        call.pachd.patient(call.seconds_left()),
        pfs.File(commit=commit_message(commit), path=path),
    )
    try:
        every = patient.repeated(lambda: list(patient.pfs.walk_file(file=file)), "WalkFile")
        return [info for info in every if info.file_type == pfs.FileType.FILE]
    except NotFoundError as error:
        raise NotFoundError(
            f"{commit} has no file or folder {path!r}; see pachctl list file {commit.repo}@{commit.version} "
            f"--project {commit.project}"
        ) from error


def _write(call: Call, commit: Reference, path: str, found: list[pfs.FileInfo], target: Path) -> None:
    """Writes all files beside the target, then renames them to it at once."""
    draft = target.with_name(f".{target.name}.kfp-pachyderm")
    try:
        for info in found:
            file = (
                draft if info.file.path == path else inside(draft, info.file.path.removeprefix(path), commit)
            )
            write_file(call.pachd, info, file)
        _remove(target)
        os.replace(draft, target)
    finally:
        _remove(draft)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
