"""Large objects go to Pachyderm, though into no commit, before the client has sent their end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from adapter_steps import Pachyderm
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from staged_steps import CONTENT, LARGE, SEGMENTS, Steps, begun, content

from kfp_pachyderm.adapter.buckets.output_bucket import OutputBucket
from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.disk import staged_object
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.segments import Segment, read_segment
from kfp_pachyderm.adapter.disk.spool import SpoolFile
from kfp_pachyderm.adapter.disk.staged_object import Create, Staged
from kfp_pachyderm.adapter.disk.uploads import Uploads
from kfp_pachyderm.adapter.sidecar import file_sets
from kfp_pachyderm.adapter.sidecar.over_grpc import Pfs
from kfp_pachyderm.protocol import file_hash
from kfp_pachyderm.protocol.file_hash import FileHash
from kfp_pachyderm.protocol.pfs_messages import CommitName
from tests.waiting import PATIENCE


def test_the_content_has_several_segments() -> None:
    assert len(SEGMENTS) > 2


@pytest.fixture
def steps(pachyderm: Pachyderm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    made = Steps(pachyderm, tmp_path, monkeypatch)
    with closing(made.server), closing(made.s3):
        yield made


def test_segments_are_sent_while_the_rest_is_written(steps: Steps) -> None:
    with closing(begun(steps, len(CONTENT))) as client:
        client.send(CONTENT[:-10])
        steps.wait_for(len(SEGMENTS) - 1)
        assert steps.files() == {}
        client.send(CONTENT[-10:])
        assert client.getresponse().status == 200
    assert steps.writeback.flush(PATIENCE).bytes == len(CONTENT)
    assert steps.files() == {"/a/b": CONTENT}
    assert sorted(size for _, size, _ in steps.made) == sorted(SEGMENTS)
    assert [first for _, _, first in steps.made].count(True) == 1


def _put(steps: Steps, threshold: int) -> None:
    config = TransferConfig(multipart_threshold=threshold, max_concurrency=1)
    steps.s3.upload_fileobj(BytesIO(CONTENT), "out", "k", Config=config)


@pytest.mark.parametrize(
    "send",
    [
        lambda steps: _put(steps, 2**30),
        lambda steps: _put(steps, 5 * 2**20),
        lambda steps: steps.s3.copy_object(Bucket="out", Key="k", CopySource="out/evicted"),
    ],
    ids=["whole", "in parts", "copied"],
)
def test_a_client_waits_for_hashing_that_is_behind(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, send: Callable[[Steps], None]
) -> None:
    steps.s3.put_object(Bucket="out", Key="evicted", Body=CONTENT)
    steps.writeback.flush(PATIENCE)
    steps.writeback._evict()
    gate, waits, grown = threading.Event(), threading.Event(), list[int]()
    real_wait, real_grown, real_update = staged_object.wait, Staged.grown, FileHash.update

    def wait(*late: Any) -> Any:
        waits.set()
        return real_wait(*late)

    def update(hashed: FileHash, data: bytes) -> list[int]:
        assert gate.wait(PATIENCE)
        return real_update(hashed, data)

    def grow(staged: Staged, *files: SpoolFile, expected: int = 0) -> None:
        grown.append(sum(file.size for file in files))
        real_grown(staged, *files, expected=expected)

    monkeypatch.setattr(staged_object, "wait", wait)
    monkeypatch.setattr(FileHash, "update", update)
    monkeypatch.setattr(Staged, "grown", grow)
    with ThreadPoolExecutor(1) as client:
        sent = client.submit(send, steps)
        try:
            assert waits.wait(PATIENCE)
            assert max(grown) < len(CONTENT)
        finally:
            gate.set()
        sent.result(PATIENCE)
    assert steps.writeback.flush(PATIENCE).bytes == 2 * len(CONTENT)
    assert steps.files() == {"/evicted": CONTENT, "/k": CONTENT}


class Slow(SpoolFile):
    """Its second segment can be read when the first one has been sent."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(path, size)
        self.sent = threading.Event()

    def read(self, start: int, length: int) -> Iterator[bytes]:
        for piece in super().read(start, length):
            if start > SEGMENTS[0] + 2**20:
                assert self.sent.wait(PATIENCE)
            start += len(piece)
            yield piece


def test_a_segment_is_sent_before_the_next_one_is_looked_through(steps: Steps, tmp_path: Path) -> None:
    file = Slow(tmp_path / "content", len(CONTENT))
    file.path.write_bytes(CONTENT)

    def create(key: str, segment: Segment, first: bool) -> str:
        file.sent.set()
        return f"{key} {segment.start}"

    staged = Staged("k", create, steps.renewal)
    staged.grown(file)
    ids = staged.ids(create, time.monotonic() + PATIENCE)
    assert ids == [f"k {sum(SEGMENTS[:index])}" for index in range(len(SEGMENTS))]


def test_what_is_dropped_is_sent_no_further(steps: Steps, tmp_path: Path) -> None:
    file = Slow(tmp_path / "content", len(CONTENT))
    file.path.write_bytes(CONTENT)
    made = list[int]()

    def create(key: str, segment: Segment, first: bool) -> str:
        made.append(segment.start)
        staged.drop()
        file.sent.set()
        return key

    staged = Staged("k", create, steps.renewal)
    staged.grown(file)
    staged_object.hasher().submit(int).result(PATIENCE)
    assert made == [0]
    assert staged.held() == []


def test_what_a_condition_refuses_is_dropped(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    real, dropped = Staged.drop, list[str]()
    monkeypatch.setattr(Staged, "drop", lambda staged: dropped.append(staged.key) or real(staged))
    steps.s3.put_object(Bucket="out", Key="k", Body=b"before")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        steps.s3.put_object(Bucket="out", Key="k", Body=CONTENT, IfNoneMatch="*")
    assert dropped == ["k"]


@pytest.mark.parametrize("give_up", [Staged.forget, Staged.drop])
def test_what_is_given_up_is_renewed_no_more(
    steps: Steps, tmp_path: Path, give_up: Callable[[Staged], None]
) -> None:
    file = SpoolFile(tmp_path / "content", len(CONTENT))
    file.path.write_bytes(CONTENT)
    staged = Staged("k", lambda _, segment, __: str(segment.start), steps.renewal)
    staged.grown(file)
    ids = staged.ids(staged._create, time.monotonic() + PATIENCE)
    staged.put_together("whole")
    assert staged.held() == [*ids, "whole"]
    give_up(staged)
    assert staged.held() == []


def test_what_breaks_off_leaves_nothing(steps: Steps) -> None:
    with closing(begun(steps, len(CONTENT))) as client:
        client.send(CONTENT[:-10])
        steps.wait_for(1)
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {}


def test_what_a_checksum_refuses_leaves_nothing(steps: Steps) -> None:
    steps.s3.put_object(Bucket="out", Key="k", Body=b"before")
    with pytest.raises(ClientError, match="BadDigest"):
        steps.s3.put_object(Bucket="out", Key="k", Body=CONTENT, ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    staged_object.hasher().submit(int).result()
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {"/k": b"before"}


def test_a_large_object_takes_the_place_of_another_and_is_removed_like_others(steps: Steps) -> None:
    for body in (b"small", CONTENT, content(2, 2 * LARGE), b"small again", CONTENT):
        steps.s3.put_object(Bucket="out", Key="k", Body=body)
        steps.writeback.flush(PATIENCE)
        assert steps.files() == {"/k": body}
    steps.s3.delete_object(Bucket="out", Key="k")
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {}


def test_a_copy_has_its_own_name(steps: Steps) -> None:
    steps.s3.put_object(Bucket="out", Key="k", Body=CONTENT)
    steps.s3.copy_object(Bucket="out", Key="moved", CopySource="out/k")
    steps.s3.delete_object(Bucket="out", Key="k")
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {"/moved": CONTENT}


def upload(steps: Steps, contents: dict[int, bytes]) -> dict[str, str]:
    """Begins a multipart upload, and writes these parts in this order."""
    names = {"Bucket": "out", "Key": "m"}
    names["UploadId"] = steps.s3.create_multipart_upload(**names)["UploadId"]
    for number, part in contents.items():
        steps.s3.upload_part(**names, PartNumber=number, Body=part)
    return names


def complete(steps: Steps, names: dict[str, str]) -> None:
    found = steps.s3.list_parts(**names)["Parts"]
    parts = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in found]
    steps.s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    steps.writeback.flush(PATIENCE)


PARTS = {
    number: CONTENT[start : start + LARGE] for number, start in enumerate(range(0, len(CONTENT), LARGE), 1)
}


def test_parts_are_sent_as_soon_as_the_object_must_begin_with_them(steps: Steps) -> None:
    names = upload(steps, dict(sorted(PARTS.items(), key=lambda one: one[0] % 2)))
    steps.wait_for(len(SEGMENTS) - 1)
    complete(steps, names)
    assert steps.files() == {"/m": CONTENT}
    assert sorted(size for _, size, _ in steps.made) == sorted(SEGMENTS)


def test_a_part_that_is_written_again_counts_as_it_is_in_the_end(steps: Steps) -> None:
    names = upload(steps, PARTS)
    steps.wait_for(len(SEGMENTS) - 1)
    steps.s3.upload_part(**names, PartNumber=2, Body=PARTS[1])
    complete(steps, names)
    assert steps.files() == {"/m": b"".join((PARTS | {2: PARTS[1]}).values())}


def test_an_upload_that_is_given_up_leaves_nothing(steps: Steps) -> None:
    names = upload(steps, PARTS)
    steps.wait_for(1)
    steps.s3.abort_multipart_upload(**names)
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {}


class NotedLock:
    """A lock that tells when somebody has to wait for it."""

    def __init__(self, waits: threading.Event) -> None:
        self._lock, self._waits = threading.RLock(), waits

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._waits.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.parametrize(
    "beside",
    [
        lambda s3, names: s3.abort_multipart_upload(**names),
        lambda s3, names: s3.upload_part(**names, PartNumber=2, Body=PARTS[1]),
    ],
    ids=["abort", "part"],
)
def test_a_request_at_the_moment_of_the_completion_changes_nothing(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, beside: Callable[..., Any]
) -> None:
    create, put, met = Uploads.create, OutputBucket.put, threading.Event()

    def locked(self: Uploads, *arguments: Any, **named: Any) -> Any:
        self.changing = NotedLock(met)  # type: ignore[assignment]
        return create(self, *arguments, **named)

    def ask() -> str:
        try:
            beside(steps.s3, names)
            return ""
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        finally:
            met.set()

    def meeting(self: OutputBucket, stored: Stored, *conditions: Any) -> None:
        put(self, stored, *conditions)
        if not asked:
            asked.append(beside_it.submit(ask))
            assert met.wait(PATIENCE)

    monkeypatch.setattr(Uploads, "create", locked)
    monkeypatch.setattr(OutputBucket, "put", meeting)
    names, asked = upload(steps, PARTS), list[Future[str]]()
    found = steps.s3.list_parts(**names)["Parts"]
    wanted = {"Parts": [{"PartNumber": one["PartNumber"], "ETag": one["ETag"]} for one in found]}
    with ThreadPoolExecutor(1) as beside_it:
        steps.s3.complete_multipart_upload(**names, MultipartUpload=wanted)
        assert asked[0].result(PATIENCE) == "NoSuchUpload"
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {"/m": CONTENT}


def test_an_output_that_was_erased_gets_all_of_it_again_and_nothing_is_sent_twice(
    steps: Steps, pachyderm: Pachyderm
) -> None:
    steps.s3.put_object(Bucket="out", Key="k", Body=CONTENT)
    steps.writeback.flush(PATIENCE)
    pachyderm.client.pfs.clear_commit(commit=steps.commit)
    steps.writeback.restart()
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {"/k": CONTENT}
    assert [key for key, _, _ in steps.made].count("k") == len(SEGMENTS)


def test_file_sets_that_are_gone_are_made_again(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    real, known = Staged.ids, list[str]()

    def ids(one: Staged, create: Create, until: float) -> list[str]:
        found = real(one, create, until)
        known.extend(found)
        return found if len(known) > len(SEGMENTS) else ["0" * 32, *found[1:]]

    monkeypatch.setattr(Staged, "ids", ids)
    steps.s3.put_object(Bucket="out", Key="k", Body=CONTENT)
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {"/k": CONTENT}
    assert [key for key, _, _ in steps.made].count("k") == 2 * len(SEGMENTS)


def test_a_file_set_that_could_not_be_made_ahead_is_made_later(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refused = Pfs.stage, threading.Event()

    def stage(remote: Pfs, name: CommitName, key: str, segment: Segment, first: bool) -> str:
        if not refused.is_set():
            refused.set()
            raise CallFailedError("connection refused", temporary=True)
        return real(remote, name, key, segment, first)

    monkeypatch.setattr(Pfs, "stage", stage)
    steps.s3.put_object(Bucket="out", Key="k", Body=CONTENT)
    steps.writeback.flush(PATIENCE)
    assert refused.is_set()
    assert steps.files() == {"/k": CONTENT}


def test_content_that_is_found_wrong_is_sent_anew(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = threading.Event()

    def read(segment: Segment) -> Iterator[bytes]:
        for piece in read_segment(segment):
            yield piece if damaged.is_set() else bytes(len(piece))
            damaged.set()

    monkeypatch.setattr(file_sets, "read_segment", read)
    steps.s3.put_object(Bucket="out", Key="k", Body=CONTENT)
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {"/k": CONTENT}


def test_what_is_dropped_is_not_looked_through_any_more(steps: Steps) -> None:
    steps.s3.put_object(Bucket="out", Key="k", Body=CONTENT)
    steps.wait_for(len(SEGMENTS) - 1)
    stored = steps.writeback._bucket.find("k")
    assert stored
    assert stored.staged
    stored.staged.drop()
    assert staged_object.hasher().submit(stored.staged._through, stored.staged._create, True).result() == []
    assert stored.staged._sets == []


def test_without_wasmtime_and_numpy_it_goes_in_one_stream(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hash, "works", lambda: False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    steps.s3.put_object(Bucket="out", Key="k", Body=CONTENT)
    steps.writeback.flush(PATIENCE)
    assert steps.files() == {"/k": CONTENT}
    assert steps.made == []
