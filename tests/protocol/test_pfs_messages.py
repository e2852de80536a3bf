"""The messages that `pfs_messages` encodes and decodes by hand are those of pachyderm_sdk."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from betterproto.lib.google.protobuf import BytesValue
from pachyderm_sdk.api import pfs

from kfp_pachyderm.protocol import pfs_messages
from kfp_pachyderm.protocol.pfs_messages import Found

NAME = ("vision", "images", "a" * 32)
REPO = pfs.Repo(name="images", type="user", project=pfs.Project(name="vision"))
COMMIT = pfs.Commit(repo=REPO, id="a" * 32)
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
SIZES = [0, 1, 127, 128, 16384, 5 * 2**30]


def test_a_file_is_named() -> None:
    file = pfs.File(commit=COMMIT, path="/a/b")
    assert pfs.InspectFileRequest().parse(pfs_messages.file_request(NAME, "/a/b")).file == file
    assert pfs.WalkFileRequest().parse(pfs_messages.file_request(NAME, "/a/b")).file == file


@pytest.mark.parametrize("offset", SIZES)
def test_a_read_starts_at(offset: int) -> None:
    request = pfs.GetFileRequest().parse(pfs_messages.file_request(NAME, "/a", offset))
    assert (request.file.path, request.offset) == ("/a", offset)


def test_a_commit_is_set_and_files_are_removed() -> None:
    assert pfs.ModifyFileRequest().parse(pfs_messages.set_commit(NAME)).set_commit == COMMIT
    assert pfs.ModifyFileRequest().parse(pfs_messages.delete_file("/a/é")).delete_file.path == "/a/é"


@pytest.mark.parametrize("size", [size for size in SIZES if size < 2**20])
def test_a_file_is_added(size: int) -> None:
    request = pfs.ModifyFileRequest().parse(pfs_messages.add_file("/a", b"x" * size))
    assert (request.add_file.path, request.add_file.raw) == ("/a", b"x" * size)
    assert pfs_messages.content(bytes(BytesValue(b"x" * size))) == b"x" * size


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_found(size: int) -> None:
    file = pfs.File(commit=COMMIT, path="/a/é", datum="d")
    info = pfs.FileInfo(file, pfs.FileType.FILE, WHEN, size, b"hash")
    assert pfs_messages.found(bytes(info)) == Found("/a/é", size, b"hash", WHEN)


def test_a_directory_is_no_file() -> None:
    info = pfs.FileInfo(pfs.File(commit=COMMIT, path="/a/"), pfs.FileType.DIR)
    assert pfs_messages.found(bytes(info)) is None


def test_what_pachyderm_never_sends() -> None:
    with pytest.raises(ValueError, match="wire type 3"):
        pfs_messages.found(b"\x0b\x01\x02\x03\x04")


@pytest.mark.parametrize("added", [b"\x78\x01", b"\x7a\x01x", b"\x7d\x01\x02\x03\x04", b"\x79" + bytes(8)])
def test_fields_of_a_later_pachyderm_are_passed_over(added: bytes) -> None:
    info = pfs.FileInfo(pfs.File(commit=COMMIT, path="/a"), pfs.FileType.FILE, WHEN, 7, b"hash")
    assert pfs_messages.found(added + bytes(info) + added) == Found("/a", 7, b"hash", WHEN)
