"""Lists, reads and saves the files of a commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kfp_pachyderm.errors import NotFoundError, PermanentError, ProtocolError
from kfp_pachyderm.pachd.commits.file_entry import FileEntry
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, commit_message
from kfp_pachyderm.pachd.sdk import pfs
from kfp_pachyderm.protocol.protobuf import fields

#: Timeouts in seconds: of a listing, and of reading one file.
_LIST_TIMEOUT, _READ_TIMEOUT = 120.0, 3600.0


def walk(pachd: Pachd, commit: Reference, path: str = "/") -> Iterator[FileEntry]:
    """Yields the files below a folder of a commit, or the file at the path, in Pachyderm's order.

    Raises:
        NotFoundError: the commit has no such path.
    """
    request = pfs.WalkFileRequest(file=pfs.File(commit=commit_message(commit), path=path))
    answers = pachd.patient(_LIST_TIMEOUT).raw_stream("/pfs_v2.API/WalkFile", bytes(request))
    try:
        # FileInfo: file 1 (path 2), type 2, size 4, hash 5 (src/pfs/pfs.proto)
        for info in (_latest(data) for data in answers):
            if info.get(2) == pfs.FileType.FILE:
                yield FileEntry(_latest(info[1])[2].decode(), info.get(4, 0), info.get(5, b"").hex())
    except NotFoundError as error:
        raise _no_file(commit, path) from error


def _latest(data: bytes) -> dict[int, Any]:
    return dict(fields(data))


def _no_file(commit: Reference, path: str) -> NotFoundError:
    return NotFoundError(f"{commit} has no file {path!r}; see what it has: kfp-pachyderm files {commit}")


def inspect(pachd: Pachd, commit: Reference, path: str) -> FileEntry:
    """Inspects one file.

    Raises:
        NotFoundError: the commit has no such file.
        PermanentError: the path is a folder.
    """
    try:
        info = pachd.pfs.inspect_file(file=pfs.File(commit=commit_message(commit), path=path))
    except NotFoundError as error:
        raise _no_file(commit, path) from error
    if info.file_type != pfs.FileType.FILE:
        raise PermanentError(
            f"{commit}:{path} is a folder; name a file of it: kfp-pachyderm files {commit}:{path}"
        )
    return FileEntry(info.file.path, info.size_bytes, info.hash.hex())


def read(pachd: Pachd, commit: Reference, path: str) -> Iterator[bytes]:
    """Yields the content of a file, piece by piece."""
    request = pfs.GetFileRequest(file=pfs.File(commit=commit_message(commit), path=path))
    # BytesValue: value 1
    for data in pachd.patient(_READ_TIMEOUT).raw_stream("/pfs_v2.API/GetFile", bytes(request)):
        yield _latest(data).get(1, b"")


def save(pachd: Pachd, commit: Reference, file: FileEntry, target: Path) -> None:
    """Writes a file of a commit to a local path, whole or not at all.

    Raises:
        ProtocolError: Pachyderm sent fewer or more bytes than the file has.
    """
    draft = target.with_name(f".{target.name}.kfp-pachyderm")
    try:
        with draft.open("wb") as out:
            out.writelines(read(pachd, commit, file.path))
        if draft.stat().st_size != file.size:
            raise ProtocolError(
                f"{commit}:{file.path}: {draft.stat().st_size} of {file.size} bytes came; get it again"
            )
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
