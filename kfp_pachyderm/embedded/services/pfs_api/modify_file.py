"""Parses ModifyFile's requests by hand (why: `protocol/protobuf`).

Fields: Pachyderm src/pfs/pfs.proto, ModifyFileRequest.
"""

from __future__ import annotations

from dataclasses import dataclass

from kfp_pachyderm.embedded.status import invalid
from kfp_pachyderm.protocol.protobuf import views


@dataclass(frozen=True, slots=True)
class SetCommit:
    """Change this commit: an encoded Commit."""

    commit: bytes


@dataclass(frozen=True, slots=True)
class Add:
    """Append content to a file; `url`: an encoded URLSource to fetch it from."""

    path: str
    data: memoryview
    url: bytes


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a file, or a folder if the path ends with a slash."""

    path: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy from another commit: an encoded CopyFile."""

    request: bytes


@dataclass(frozen=True, slots=True)
class Nothing:
    """A request without a change."""


Change = SetCommit | Add | Delete | Copy | Nothing


def _add(data: memoryview) -> Add:
    path, content, url = "", memoryview(b""), b""
    for number, _, value in views(data):
        if number == 1:
            path = str(value, "utf-8")
        elif number == 3:
            for _, _, raw in views(value):
                content = raw
        elif number == 4:
            url = bytes(value)
    return Add(path, content, url)


def _delete(data: memoryview) -> Delete:
    return Delete(next((str(value, "utf-8") for number, _, value in views(data) if number == 1), ""))


def parse(data: bytes) -> Change:
    """One ModifyFileRequest."""
    try:
        return _parse(memoryview(data))
    except ValueError as error:
        raise invalid(f"ModifyFileRequest: {error}") from error


def _parse(data: memoryview) -> Change:
    for number, _, value in views(data):
        if number == 1:
            return SetCommit(bytes(value))
        if number == 2:
            return _add(value)
        if number == 3:
            return _delete(value)
        if number == 4:
            return Copy(bytes(value))
    return Nothing()
