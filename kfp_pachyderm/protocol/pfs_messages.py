"""Encodes and decodes the few PFS messages of a step by hand. The module `protobuf` says why by hand.

Fields: Pachyderm src/pfs/pfs.proto.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kfp_pachyderm.protocol.protobuf import field, head, number, views

#: A commit: (project, repo, commit ID).
CommitName = tuple[str, str, str]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FILE = 1


@dataclass(frozen=True)
class Found:
    """A regular file of a commit.

    Args:
        path: its path, with a leading slash.
        size: bytes.
        hash: Pachyderm's hash of the content, see `file_hash`.
        committed: when it was committed.
    """

    path: str
    size: int
    hash: bytes
    committed: datetime


def commit(name: CommitName) -> bytes:
    """Encodes a Commit."""
    project, repo, commit_id = name
    repo_message = field(1, repo.encode()) + field(2, b"user") + field(3, field(1, project.encode()))
    return field(3, repo_message) + field(2, commit_id.encode())


def file_request(name: CommitName, path: str, offset: int = 0) -> bytes:
    """Encodes an InspectFileRequest, a WalkFileRequest, or a GetFileRequest that reads from `offset`."""
    request = field(1, field(1, commit(name)) + field(2, path.encode()))
    return request + (number(3, offset) if offset else b"")


def set_commit(name: CommitName) -> bytes:
    """Encodes the ModifyFileRequest that names the commit to change."""
    return field(1, commit(name))


def delete_file(path: str) -> bytes:
    """Encodes a ModifyFileRequest that removes a file, if there is one."""
    return field(3, field(1, path.encode()))


def add_file(path: str, data: bytes) -> bytes:
    """Encodes a ModifyFileRequest that appends to a file. It copies the content only once."""
    start = field(1, path.encode())
    raw = head(1, len(data))
    value = head(3, len(raw) + len(data))
    request = head(2, len(start) + len(value) + len(raw) + len(data))
    return b"".join((request, start, value, raw, data))


def file_set_id(data: bytes) -> str:
    """Decodes the ID in a CreateFileSetResponse."""
    return next(
        (str(value, "utf-8") for field_number, _, value in views(memoryview(data)) if field_number == 1), ""
    )


def compose_file_sets(ids: list[str], seconds: int) -> bytes:
    """Encodes a ComposeFileSetRequest for a compacted file set, which Pachyderm keeps for `seconds`."""
    parts = b"".join(field(1, one.encode()) for one in ids)
    return parts + number(2, seconds) + number(3, 1)


def renew_file_set(id_: str, seconds: int) -> bytes:
    """Encodes a RenewFileSetRequest: Pachyderm keeps the file set for `seconds` from now on."""
    return field(1, id_.encode()) + number(2, seconds)


def add_file_set(name: CommitName, id_: str) -> bytes:
    """Encodes an AddFileSetRequest."""
    return field(1, commit(name)) + field(2, id_.encode())


def content(data: bytes) -> memoryview:
    """Decodes the content of a BytesValue, which GetFile answers."""
    return next(
        (value for field_number, _, value in views(memoryview(data)) if field_number == 1), memoryview(b"")
    )


def _path(file: memoryview) -> str:
    return next((str(value, "utf-8") for field_number, _, value in views(file) if field_number == 2), "")


def _moment(timestamp: memoryview) -> datetime:
    parts = {key: value for key, value, _ in views(timestamp)}
    return _EPOCH + timedelta(seconds=parts.get(1, 0), microseconds=parts.get(2, 0) // 1000)


def found(data: bytes) -> Found | None:
    """Decodes a FileInfo; returns None for a directory."""
    kind, size, path, hash_, committed = 0, 0, "", b"", _EPOCH
    for field_number, integer, value in views(memoryview(data)):
        if field_number == 1:
            path = _path(value)
        elif field_number == 2:
            kind = integer
        elif field_number == 3:
            committed = _moment(value)
        elif field_number == 4:
            size = integer
        elif field_number == 5:
            hash_ = bytes(value)
    return Found(path, size, hash_, committed) if kind == _FILE else None
