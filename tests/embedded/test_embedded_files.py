"""Files through the unmodified SDK: streams, listings, globs, differences."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator

import grpc
import psutil
import pytest
from pachyderm_sdk.api import pfs

from tests.waiting import PATIENCE

_TREE = {"/a.txt": b"1", "/dir/b.txt": b"22", "/dir/deep/c.png": b"333", "/dir2": b""}


def _file(commit: pfs.Commit, path: str) -> pfs.File:
    return pfs.File(commit=commit, path=path)


def test_folders_are_made_by_their_files_and_sum_them_up(bench):
    commit = bench.put("images", _TREE)
    walked = list(bench.client.pfs.walk_file(file=_file(commit, "/")))
    assert [(one.file.path, one.size_bytes) for one in walked] == [
        ("/", 6),
        ("/a.txt", 1),
        ("/dir/", 5),
        ("/dir/b.txt", 2),
        ("/dir/deep/", 3),
        ("/dir/deep/c.png", 3),
        ("/dir2", 0),
    ]
    assert {len(one.hash) for one in walked} == {32}
    listed = bench.client.pfs.list_file(file=_file(commit, "/dir"))
    assert [(one.file.path, one.file_type) for one in listed] == [("/dir/b.txt", 1), ("/dir/deep/", 2)]
    folder = bench.client.pfs.inspect_file(file=_file(commit, "/dir"))
    assert (folder.file.path, folder.size_bytes, folder.hash) == ("/dir/", 5, walked[2].hash)
    assert folder.file.commit.id == commit.id
    assert folder.committed == bench.client.pfs.inspect_commit(commit=commit).finishing


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/", ["/"]),
        ("/*", ["/a.txt", "/dir/", "/dir2"]),
        ("/dir", ["/dir/"]),
        ("/**.png", ["/dir/deep/c.png"]),
        ("/dir/*", ["/dir/b.txt", "/dir/deep/"]),
        ("/{a,dir/b}.txt", ["/a.txt", "/dir/b.txt"]),
        ("/dir?", ["/dir2"]),
        ("/[a-c].txt", ["/a.txt"]),
        ("/@(a|b).txt", ["/a.txt"]),
        ("/nothing*", []),
    ],
)
def test_globs(bench, pattern, expected):
    commit = bench.put("images", _TREE)
    assert [one.file.path for one in bench.client.pfs.glob_file(commit=commit, pattern=pattern)] == expected


def test_a_stream_that_is_broken_off_changes_nothing(bench):
    bench.client.pfs.create_repo(repo=bench.repo("broken"))
    commit = bench.client.pfs.start_commit(branch=bench.branch("broken"))
    # The SDK's own call waits for the end of the stream.
    modify = bench.client._channel.stream_unary("/pfs_v2.API/ModifyFile", request_serializer=bytes)
    for number in range(40):
        sent = threading.Event()
        over = threading.Event()

        def requests(path=f"/{number}", sent=sent, over=over):
            yield pfs.ModifyFileRequest(set_commit=commit)
            for _ in range(4):
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=b"half"))
            sent.set()
            over.wait(PATIENCE)

        call = modify.future(requests())
        assert sent.wait(PATIENCE)
        call.cancel()
        over.set()
    bench.client.pfs.finish_commit(commit=commit)
    bench.client.pfs.wait_commit(commit)
    assert bench.paths(commit) == []


def test_listings_are_cut_by_marker_number_and_direction(bench):
    commit = bench.put("images", {f"/{name}": b"" for name in "abcde"})
    listed = bench.client.pfs.list_file

    def names(**options):
        return [one.file.path[1:] for one in listed(file=_file(commit, "/"), **options)]

    assert names(number=2) == ["a", "b"]
    assert names(number=2, pagination_marker=_file(commit, "/b")) == ["c", "d"]
    assert names(number=2, reverse=True) == ["e", "d"]
    assert names(number=2, reverse=True, pagination_marker=_file(commit, "/c")) == ["b", "a"]
    with pytest.raises(grpc.RpcError, match="number must be > 0"):
        names(reverse=True)


def test_reading_at_an_offset_globbing_one_file_and_what_is_not_one(bench):
    commit = bench.put("images", _TREE)
    assert bench.read(commit, "/dir/*.txt") == b"22"
    parts = bench.client.pfs.get_file(file=_file(commit, "/dir/deep/c.png"), offset=1)
    assert b"".join(one.value for one in parts) == b"33"
    with pytest.raises(grpc.RpcError, match="cannot get directory or non-regular file"):
        bench.read(commit, "/dir")
    with pytest.raises(grpc.RpcError, match="matched multiple files"):
        bench.read(bench.put("images", {"/x1": b"", "/x2": b""}), "/x*")
    with pytest.raises(grpc.RpcError) as error:
        bench.read(commit, "/none")
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert "file /none not found in repo" in error.value.details()


def test_append_replace_delete_and_copy_in_one_commit(bench):
    source = bench.put("images", _TREE)
    with bench.client.pfs.commit(branch=bench.branch("images")) as commit:
        commit.put_file_from_bytes(path="/a.txt", data=b"+", append=True)
        commit.put_file_from_bytes(path="/dir2", data=b"new")
        commit.delete_file(path="/dir/deep/")
        commit.copy_file(src=_file(source, "/dir"), dst="/copy")
    head = bench.commit("images", commit.id)
    assert bench.paths(head) == ["/a.txt", "/copy/b.txt", "/copy/deep/c.png", "/dir/b.txt", "/dir2"]
    assert bench.read(head, "/a.txt") == b"1+"
    assert bench.read(head, "/dir2") == b"new"
    assert bench.paths(source) == ["/a.txt", "/dir/b.txt", "/dir/deep/c.png", "/dir2"]
    changes = bench.client.pfs.diff_file(new_file=_file(head, "/"))
    names = {one.new_file.file.path or one.old_file.file.path for one in changes}
    assert {"/a.txt", "/dir2", "/dir/deep/c.png", "/copy/b.txt"} <= names
    assert "/dir/b.txt" not in names


def test_a_put_on_a_branch_is_a_commit_of_its_own(bench):
    before = bench.put("images", {"/a": b"1"})
    handle = pfs.Commit(repo=bench.repo("images"), branch=bench.branch("images"))
    bench.client.pfs.put_file_from_bytes(commit=handle, path="/b", data=b"2")
    head = bench.client.pfs.inspect_branch(branch=bench.branch("images")).head
    info = bench.client.pfs.inspect_commit(commit=head)
    assert (info.parent_commit.id, info.is_set("finished")) == (before.id, True)
    assert bench.paths(bench.commit("images", head.id)) == ["/a", "/b"]
    with pytest.raises(grpc.RpcError, match="has already finished"):
        bench.client.pfs.put_file_from_bytes(commit=before, path="/c", data=b"")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/ä", "only printable ASCII"),
        ("/a*b", "globbing character \\(\\*\\) not allowed"),
        ("/a/../b", "relative file paths are not allowed"),
    ],
)
def test_paths_that_pachyderm_refuses(bench, path, text):
    bench.client.pfs.create_repo(repo=bench.repo("images"))
    commit = bench.client.pfs.start_commit(branch=bench.branch("images"))
    with pytest.raises(grpc.RpcError, match=text):
        bench.client.pfs.put_file_from_bytes(commit=commit, path=path, data=b"")
    assert bench.paths(commit) == []


def test_a_file_and_folder_of_one_name_fail_the_commit_when_it_finishes(bench):
    bench.client.pfs.create_repo(repo=bench.repo("images"))
    commit = bench.client.pfs.start_commit(branch=bench.branch("images"))
    for path in ("/k", "/k/x"):
        bench.client.pfs.put_file_from_bytes(commit=commit, path=path, data=b"1")
    with pytest.raises(grpc.RpcError, match="file / directory path collision"):
        bench.paths(commit)
    bench.client.pfs.finish_commit(commit=commit)
    assert bench.client.pfs.wait_commit(commit).error == "file / directory path collision (/k/x)"


def test_a_tar_holds_a_folder_whole(bench):
    commit = bench.put("images", _TREE)
    stream = bench.client.pfs.get_file_tar(file=_file(commit, "/dir"))
    with tarfile.open(fileobj=io.BytesIO(b"".join(one.value for one in stream))) as tar:
        assert tar.getnames() == ["/dir", "/dir/b.txt", "/dir/deep", "/dir/deep/c.png"]
        member = tar.extractfile("/dir/deep/c.png")
        assert member is not None
        assert member.read() == b"333"


class _Pattern(io.RawIOBase):
    """A file of random bytes that is never in memory as a whole; `hash` is that of the bytes read."""

    def __init__(self, size: int) -> None:
        self._left, self.hash = size, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = os.urandom(min(size, self._left))
        self._left -= len(data)
        self.hash.update(data)
        return data


def _pieces(stream: Iterator[object]) -> str:
    found = hashlib.sha256()
    for one in stream:
        found.update(one.value)
    return found.hexdigest()


def test_a_hundred_megabytes_pass_with_flat_memory_and_are_stored_once(bench, embedded):
    source = _Pattern(100 * 2**20)
    bench.client.pfs.create_repo(repo=bench.repo("big"))
    with bench.client.pfs.commit(branch=bench.branch("big")) as commit:
        commit.put_file_from_file(path="/big", file=source)
    head = bench.commit("big", commit.id)
    assert _pieces(bench.client.pfs.get_file(file=_file(head, "/big"))) == source.hash.hexdigest()
    assert psutil.Process(embedded.pid).memory_info().rss < 200 * 2**20
    before = sum(1 for one in (embedded.data_dir / "chunks").rglob("*") if one.is_file())
    with bench.client.pfs.commit(branch=bench.branch("big")) as commit:
        commit.put_file_from_file(path="/again", file=bench.client.pfs.pfs_file(file=_file(head, "/big")))
    assert sum(1 for one in (embedded.data_dir / "chunks").rglob("*") if one.is_file()) == before


def test_large_files_have_the_hash_that_pachyderm_gives_them(bench):
    """The hash that pachd gives this content (tests/protocol/pachd_hashes.json)."""
    size, expected = 25_000_000, "1822115e11bff39d65f7fd75e87d147b423f7dc7849f7ed8fb8517939b31b6fd"
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    head = bench.put("images", {"/whole": content, "/parts": content[:3_000_000]})
    bench.client.pfs.put_file_from_bytes(
        commit=pfs.Commit(branch=pfs.Branch(repo=head.repo, name="master"), repo=head.repo),
        path="/parts",
        data=content[3_000_000:],
        append=True,
    )
    branch = pfs.Branch(repo=head.repo, name="master")
    head = bench.client.pfs.inspect_branch(branch=branch).head
    found = [bench.client.pfs.inspect_file(file=_file(head, path)) for path in ("/whole", "/parts")]
    assert [(one.size_bytes, one.hash.hex()) for one in found] == [(size, expected)] * 2
