"""PFS's messages written and read by hand, those few that the adapter needs.

betterproto copies content several times, takes 3 ms for each small file that is sent and looked for, and a
quarter of a second to import. Fields: Pachyderm src/pfs/pfs.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from kfp_pachyderm.adapter.config import CommitName
from kfp_pachyderm.adapter.sidecar.remote import Found
from kfp_pachyderm.protocol.protobuf import field, head, read_varint, varint

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FILE = 1
_VARINT, _BYTES = 0, 2


def commit(name: CommitName) -> bytes:
    """A Commit."""
    project, repo, commit_id = name
    repo_message = field(1, repo.encode()) + field(2, b"user") + field(3, field(1, project.encode()))
    return field(3, repo_message) + field(2, commit_id.encode())


def file_request(name: CommitName, path: str, offset: int = 0) -> bytes:
    """An InspectFileRequest, a WalkFileRequest or, from `offset` on, a GetFileRequest."""
    request = field(1, field(1, commit(name)) + field(2, path.encode()))
    return request + (varint(3 << 3) + varint(offset) if offset else b"")


def set_commit(name: CommitName) -> bytes:
    """A ModifyFileRequest that says which commit is changed."""
    return field(1, commit(name))


def delete_file(path: str) -> bytes:
    """A ModifyFileRequest that removes a file if there is one."""
    return field(3, field(1, path.encode()))


def add_file(path: str, data: bytes) -> bytes:
    """A ModifyFileRequest that appends to a file; the content is copied once."""
    start = field(1, path.encode())
    raw = head(1, len(data))
    value = head(3, len(raw) + len(data))
    request = head(2, len(start) + len(value) + len(raw) + len(data))
    return b"".join((request, start, value, raw, data))


def file_set_id(data: bytes) -> str:
    """The ID that a CreateFileSetResponse tells."""
    return next((str(value, "utf-8") for number, _, value in _fields(memoryview(data)) if number == 1), "")


def compose_file_sets(ids: list[str], seconds: int) -> bytes:
    """A ComposeFileSetRequest for a compact one that is kept for so long."""
    parts = b"".join(field(1, one.encode()) for one in ids)
    return parts + varint(2 << 3) + varint(seconds) + varint(3 << 3) + varint(1)


def add_file_set(name: CommitName, id_: str) -> bytes:
    """An AddFileSetRequest."""
    return field(1, commit(name)) + field(2, id_.encode())


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Number, integer and bytes of each field; only one of the two means anything."""
    at, end = 0, len(data)
    while at < end:
        key, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if key & 7 == _VARINT:
            yield key >> 3, value, data[:0]
        elif key & 7 == _BYTES:
            yield key >> 3, 0, data[at : at + value]
            at += value
        else:
            raise ValueError(f"unexpected wire type {key & 7} of field {key >> 3}")


def content(data: bytes) -> memoryview:
    """The content of a BytesValue, as GetFile answers."""
    return next((value for number, _, value in _fields(memoryview(data)) if number == 1), memoryview(b""))


def _path(file: memoryview) -> str:
    return next((str(value, "utf-8") for number, _, value in _fields(file) if number == 2), "")


def _moment(timestamp: memoryview) -> datetime:
    parts = {number: value for number, value, _ in _fields(timestamp)}
    return _EPOCH + timedelta(seconds=parts.get(1, 0), microseconds=parts.get(2, 0) // 1000)


def found(data: bytes) -> Found | None:
    """The regular file that a FileInfo tells of; None for a directory."""
    kind, size, path, hash_, committed = 0, 0, "", b"", _EPOCH
    for number, integer, value in _fields(memoryview(data)):
        if number == 1:
            path = _path(value)
        elif number == 2:
            kind = integer
        elif number == 3:
            committed = _moment(value)
        elif number == 4:
            size = integer
        elif number == 5:
            hash_ = bytes(value)
    return Found(path, size, hash_, committed) if kind == _FILE else None
