"""A step succeeds only when its output commit holds, byte for byte, what it wrote."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from adapter_steps import INPUT_FILES, Pachyderm, Step
from pachyderm_sdk.api import pfs

from kfp_pachyderm.adapter.buckets.output_bucket import OutputBucket
from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.config import Flushed
from kfp_pachyderm.adapter.delivery import WriteBack
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.spool import Spool, reader
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.adapter.sidecar.over_grpc import Pfs
from kfp_pachyderm.errors import WriteBackError
from kfp_pachyderm.protocol import file_hash
from kfp_pachyderm.protocol.file_hash import SMALL, small
from kfp_pachyderm.protocol.pfs_messages import CommitName, Found
from tests.waiting import PATIENCE

VECTORS = Path(__file__).parent.parent / "embedded" / "gateway" / "vectors" / "gateway.jsonl"
CONTENTS = {
    "empty": b"",
    "small": b"s" * 5000,
    "below": os.urandom(SMALL - 1),
    "above": os.urandom(SMALL),
    "large": os.urandom(3 * 2**20 + 1),
    "zeros": bytes(21_000_000),
}


class Counting(Pfs):
    """A connection to Pachyderm that records which files were read back."""

    def __init__(self, address: str, contents: bool = True) -> None:
        super().__init__(address, "", contents=contents)
        self.read_back: list[str] = []

    def read(
        self, name: CommitName, path: str, start: int, length: int, timeout: float | None = None
    ) -> Iterator[bytes]:
        self.read_back.append(path)
        return super().read(name, path, start, length, timeout)


class Damaging(Counting):
    """A connection that stores another content of the same size, a given number of times."""

    def __init__(self, address: str, key: str, times: int, contents: bool = True) -> None:
        super().__init__(address, contents)
        self._key, self.times = key, times

    def write(self, name: CommitName, files: list[Stored], gone: list[str], timeout: float) -> None:
        if self.times and any(file.key == self._key for file in files):
            self.times -= 1
            files = [self._damaged(file) if file.key == self._key else file for file in files]
        super().write(name, files, gone, timeout)

    def _damaged(self, file: Stored) -> Stored:
        content = bytearray(b"".join(file.read(0, file.size)))
        content[-1] ^= 1
        return replace(file, read=lambda *_: iter([bytes(content)]))


@dataclass
class OneWay:
    """A `Sidecar` with one given connection."""

    way: Pfs

    def remote(self) -> Pfs:
        return self.way

    def forget(self, remote: Pfs) -> None:
        pass


def written(
    pachyderm: Pachyderm, folder: Path, remote: Pfs, keys: Iterable[str] = CONTENTS
) -> tuple[WriteBack, pfs.Commit]:
    """The delivery of a step that has written CONTENTS, or some of them."""
    commit, bucket, spool = pachyderm.open_commit(), OutputBucket(), Spool(folder, 2**30)
    for key in keys:
        content = CONTENTS[key]
        file = spool.write(io.BytesIO(content))
        pieces = (Piece(1, file.size, hashlib.md5(content).digest()),)
        bucket.put(Stored(key, file.size, "", datetime.now(UTC), reader(file), pieces))
    name = ("default", commit.repo.name, commit.id)
    return WriteBack(OneWay(remote), name, bucket, spool), commit  # type: ignore[arg-type]


def test_large_files_are_known_by_their_hash(pachyderm: Pachyderm, tmp_path: Path) -> None:
    remote = Counting(pachyderm.address)
    writeback, commit = written(pachyderm, tmp_path, remote)
    assert writeback.flush(60).objects == len(CONTENTS)
    assert remote.read_back == []
    assert pachyderm.files(commit) == {"/" + name: content for name, content in CONTENTS.items()}


class Refusing(Pfs):
    """A connection on which the given number of writes fail; -1: all of them."""

    def __init__(self, address: str, times: int) -> None:
        super().__init__(address, "", contents=True)
        self.times = times

    def write(self, name: CommitName, files: list[Stored], gone: list[str], timeout: float) -> None:
        self.times -= 1
        if self.times >= 0 or self.times < -1:
            raise CallFailedError("connection refused", temporary=True)
        super().write(name, files, gone, timeout)


def test_what_is_sent_again_and_again_is_told_once(
    pachyderm: Pachyderm, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remote = Refusing(pachyderm.address, 4)
    writeback, _ = written(pachyderm, tmp_path, remote)
    assert writeback.flush(60).objects == len(CONTENTS)
    assert [line for line in caplog.messages if "connection refused" in line] == caplog.messages
    assert len(caplog.messages) == 1


def test_an_output_that_is_never_taken_says_how_often_it_was_tried(
    pachyderm: Pachyderm, tmp_path: Path
) -> None:
    remote = Refusing(pachyderm.address, -1)
    writeback, _ = written(pachyderm, tmp_path, remote)
    with pytest.raises(WriteBackError, match=r"connection refused \(\d+ tries\)"):
        writeback.flush(2)


@pytest.mark.parametrize("lost", [False, True])
def test_a_few_files_are_asked_for_by_name(
    pachyderm: Pachyderm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.delattr(Pfs, "walk")
    remote = Counting(pachyderm.address)
    writeback, commit = written(pachyderm, tmp_path, remote, ["large", "below"])
    if lost:
        monkeypatch.setattr(Pfs, "write", lambda *_: None)
        with pytest.raises(WriteBackError, match="'below', 'large' is missing or differs"):
            writeback.flush(60)
    else:
        assert writeback.flush(60).objects == 2
        assert remote.read_back == []
        assert set(pachyderm.files(commit)) == {"/large", "/below"}


def test_without_wasmtime_and_numpy_large_files_are_read_back(
    pachyderm: Pachyderm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hash, "works", lambda: False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    remote = Counting(pachyderm.address)
    writeback, _ = written(pachyderm, tmp_path, remote)
    assert writeback.flush(60).objects == len(CONTENTS)
    assert set(remote.read_back) == {"/above", "/large", "/zeros"}


def test_a_hash_that_pachyderm_may_give_by_right_is_no_fault(
    pachyderm: Pachyderm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Pfs.walk

    def walk(self: Pfs, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        for found in real(self, name, timeout):
            yield replace(found, hash=bytes(32)) if found.path == "/large" else found

    monkeypatch.setattr(Pfs, "walk", walk)
    remote = Counting(pachyderm.address)
    writeback, _ = written(pachyderm, tmp_path, remote)
    assert writeback.flush(60).objects == len(CONTENTS)
    assert remote.read_back == ["/large"]


def test_what_has_left_the_spool_is_known_by_its_hash(pachyderm: Pachyderm, tmp_path: Path) -> None:
    remote = Counting(pachyderm.address)
    writeback, _ = written(pachyderm, tmp_path, remote)
    writeback._send_early(pressed=True)
    assert writeback.flush(60).objects == len(CONTENTS)
    assert set(remote.read_back) == {"/small", "/below"}


def test_a_spool_that_changed_by_itself_fails_the_step(pachyderm: Pachyderm, tmp_path: Path) -> None:
    remote = Counting(pachyderm.address)
    writeback, _ = written(pachyderm, tmp_path, remote)
    (large,) = (one for one in tmp_path.iterdir() if one.stat().st_size == len(CONTENTS["large"]))
    large.write_bytes(bytes(len(CONTENTS["large"])))
    with pytest.raises(WriteBackError, match="'large' is missing or differs"):
        writeback.flush(60)


def test_small_files_are_known_by_the_hash_that_a_real_pachyderm_gave() -> None:
    puts = [json.loads(line) for line in VECTORS.read_text().splitlines()[1:]]
    name = "auth_v4_put_ok"
    etag = next(dict(one["response"]["headers"])["Etag"] for one in puts if one["name"] == name)
    assert etag.strip('"') == small(b"x").hex()


@pytest.mark.parametrize("key", ["small", "below", "above", "large", "zeros"])
def test_another_content_of_the_same_size_is_found_and_sent_again(
    pachyderm: Pachyderm, tmp_path: Path, key: str
) -> None:
    remote = Damaging(pachyderm.address, key, 1)
    writeback, commit = written(pachyderm, tmp_path, remote)
    assert writeback.flush(PATIENCE).objects == len(CONTENTS)
    assert remote.times == 0
    assert pachyderm.files(commit) == {"/" + name: content for name, content in CONTENTS.items()}


def test_a_content_that_stays_wrong_fails_the_step_by_name(pachyderm: Pachyderm, tmp_path: Path) -> None:
    remote = Damaging(pachyderm.address, "large", 99)
    writeback, _ = written(pachyderm, tmp_path, remote)
    with pytest.raises(WriteBackError, match="'large' is missing or differs"):
        writeback.flush(PATIENCE)


def test_by_size_alone_another_size_is_found_and_another_content_is_not(
    pachyderm: Pachyderm, tmp_path: Path
) -> None:
    remote = Damaging(pachyderm.address, "large", 1, contents=False)
    writeback, commit = written(pachyderm, tmp_path, remote)
    assert writeback.flush(60).objects == len(CONTENTS)
    assert (remote.times, remote.read_back) == (0, [])
    found = pachyderm.files(commit)
    assert len(found["/large"]) == len(CONTENTS["large"])
    assert found["/large"] != CONTENTS["large"]
    again = remote.differing(
        ("default", commit.repo.name, commit.id),
        [replace(file, size=file.size + 1) for file in writeback._bucket.files()],
        60,
    )
    assert {file.key for file in again} == set(CONTENTS)


def test_parts_are_compared_one_by_one(s3: Any, step: Step, pachyderm: Pachyderm, tmp_path: Path) -> None:
    content = os.urandom(20 * 2**20 + 3)
    tmp_path.joinpath("file").write_bytes(content)
    s3.upload_file(str(tmp_path / "file"), "out", "parts")
    s3.copy_object(Bucket="out", Key="copy", CopySource="out/parts")
    s3.copy_object(Bucket="out", Key="input", CopySource="images/big.bin")
    size = 2 * len(content) + len(INPUT_FILES["/big.bin"])
    assert step.flush() == Flushed(3, size)
    found = {path: hashlib.sha256(data).digest() for path, data in pachyderm.files(step.commit).items()}
    assert found["/parts"] == found["/copy"] == hashlib.sha256(content).digest()
    assert found["/input"] == hashlib.sha256(INPUT_FILES["/big.bin"]).digest()
