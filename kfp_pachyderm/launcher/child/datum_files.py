"""The files of a datum, laid out for user code: a step has no /pfs."""

from __future__ import annotations

from pathlib import Path

from kfp_pachyderm.errors import ProtocolError
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.pipeline_plan import ClaimedInput, PipelinePlan
from kfp_pachyderm.pachd.references import commit_message
from kfp_pachyderm.pachd.sdk import pfs


def lay_out(pachd: Pachd, plan: PipelinePlan, below_pfs: dict[str, str], folder: Path) -> str:
    """Writes a datum's files to `folder/<input>/<path>`.

    Args:
        pachd: the connection.
        plan: the pipeline and its inputs.
        below_pfs: input → path of the datum's file or folder below /pfs, as the holder says it.
        folder: the target folder.

    Returns:
        The folder; "" when the step has no file inputs.
    """
    inputs = [one for one in plan.inputs if not one.s3]
    for one in inputs:
        path = "/" + below_pfs.get(one.name, one.name).removeprefix(one.name).strip("/")
        _write_all(pachd, one, path, folder / one.name)
    return str(folder) if inputs else ""


def write_file(pachd: Pachd, info: pfs.FileInfo, target: Path) -> None:
    """Writes one file of a commit.

    Raises:
        ProtocolError: the number of bytes is not the file's size.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    patient = pachd.patient(3600.0)

    def fetch() -> None:
        with target.open("wb") as out:
            for piece in patient.pfs.get_file(file=info.file):
                out.write(piece.value)

    patient.repeated(fetch, "GetFile")
    if target.stat().st_size != info.size_bytes:
        raise ProtocolError(
            f"{info.file.path}: {target.stat().st_size} of {info.size_bytes} bytes came; run the step again"
        )


def inside(folder: Path, path: str, commit: object) -> Path:
    """The path below the folder.

    Raises:
        ProtocolError: the path leads out of the folder.
    """
    target = folder / path.strip("/")
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ProtocolError(f"{commit}: the path {path!r} leads out of its folder")
    return target


def _write_all(pachd: Pachd, one: ClaimedInput, path: str, folder: Path) -> None:
    commit = commit_message(one.commit)
    folder.mkdir(parents=True, exist_ok=True)
    file = pfs.File(commit=commit, path=path)
    for info in pachd.repeated(lambda: list(pachd.pfs.walk_file(file=file)), "WalkFile"):
        target = inside(folder, info.file.path, one.commit)
        if info.file_type == pfs.FileType.FILE:
            write_file(pachd, info, target)
