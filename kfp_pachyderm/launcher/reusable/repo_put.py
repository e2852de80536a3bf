"""`repo/put`: an artifact, file or folder, becomes one commit on a branch."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from kfp_pachyderm.errors import CommitReferenceError, EmptyInputError, PermanentError
from kfp_pachyderm.launcher.executor_input import local_path
from kfp_pachyderm.launcher.record.initial import begun
from kfp_pachyderm.launcher.reusable.component_call import Call
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.commits import new_commit
from kfp_pachyderm.pachd.jobs.job import write_metadata
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.commit_files import files_of
from kfp_pachyderm.provenance.file_list import file_list
from kfp_pachyderm.provenance.kfp_task import PREFIX
from kfp_pachyderm.provenance.record import Code, StepRecord
from kfp_pachyderm.provenance.stored_record import entries


def put(call: Call) -> None:
    """Puts the input `artifact` on the branch in the input `branch`, at the input `path`."""
    branch = call.reference("branch")
    if branch.is_commit:
        raise CommitReferenceError(
            f"{branch} is a commit, which never changes; name a branch: {branch.repo}@master"
        )
    uri = (call.execution.input_artifact("artifact") or {}).get("uri", "")
    files = _files(local_path(uri), call.execution.parameter("path") or "/")
    commit = new_commit.start(call.pachd, branch, call.deadline, say)
    try:
        record = _fill(call, commit, files, uri)
    except BaseException as error:
        new_commit.undo(call.pachd, commit, f"the step failed: {error}", say)
        raise
    held = file_list(files_of(call.pachd, commit, call.seconds_left()))
    ended = replace(record, state="SUCCESS", size=held.size, files=held)
    write_metadata(call.pachd, commit, entries(ended))
    size = sum(file.stat().st_size for file in files.values())
    call.record(commit, {"branch": str(branch), "artifact": uri, "files": len(files), "size_bytes": size})
    call.done("put", len(files), size, commit)


def _fill(call: Call, commit: Reference, files: dict[str, Path], uri: str) -> StepRecord:
    say(f"putting {len(files)} files into {commit}")
    given = {name: call.execution.value(name) for name in ("branch", "path")}
    code = Code(parameters={"artifact": uri, **{name: one for name, one in given.items() if one is not None}})
    record = begun(call.task, commit, {}, code)
    signs = {**call.task.commit_metadata(), PREFIX + "artifact": uri, **entries(record)}
    write_metadata(call.pachd, commit, signs)
    new_commit.write(call.pachd, commit, files, call.seconds_left())
    new_commit.finish(call.pachd, commit, files, call.deadline, say)
    return record


def _files(source: Path, path: str) -> dict[str, Path]:
    """Path in the repo → file. A file goes to the path itself, or below it if that ends with a slash."""
    if source.is_file():
        return {_clean(path + source.name if path.endswith("/") else path): source}
    found = {
        _clean(f"{path}/{(Path(folder) / name).relative_to(source)}"): Path(folder) / name
        for folder, _, names in os.walk(source)
        for name in names
    }
    if not found:
        raise EmptyInputError(
            f"the artifact {str(source)!r} has no files to put; its step wrote nothing to it"
        )
    broken = next((file for file in found.values() if not file.is_file()), None)
    if broken:
        raise PermanentError(f"{str(broken)!r} in the artifact is no file: a broken link, a pipe or a socket")
    return found


def _clean(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part)
