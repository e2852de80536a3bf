from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import pytest
from adapter_steps import ACCESS, INPUT_FILES, SECRET, Pachyderm, Step
from minio import Minio
from minio.commonconfig import CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error


@pytest.fixture
def client(step: Step) -> Iterator[Minio]:
    made = Minio(step.host, ACCESS, SECRET, secure=False)
    yield made
    made._http.clear()


def read(client: Minio, *args: Any, **more: Any) -> bytes:
    answer = client.get_object(*args, **more)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


def test_objects(client: Minio, step: Step, pachyderm: Pachyderm) -> None:
    client.put_object(
        "out", "dir/a b.txt", io.BytesIO(b"content"), 7, content_type="text/x", metadata={"k": "v"}
    )
    assert read(client, "out", "dir/a b.txt") == b"content"
    assert read(client, "out", "dir/a b.txt", offset=2, length=3) == b"nte"
    stat = client.stat_object("out", "dir/a b.txt")
    assert (stat.size, stat.content_type, stat.metadata["x-amz-meta-k"]) == (7, "text/x", "v")
    client.copy_object("out", "copy", CopySource("out", "dir/a b.txt"))
    client.copy_object("out", "input", CopySource("images", "dir/sub/c.json"))
    client.put_object("out", "gone", io.BytesIO(b""), 0)
    client.remove_object("out", "gone")
    client.put_object("out", "gone2", io.BytesIO(b""), 0)
    assert list(client.remove_objects("out", [DeleteObject("gone2"), DeleteObject("never")])) == []
    assert step.flush().objects == 3
    expected = {"/dir/a b.txt": b"content", "/copy": b"content", "/input": b'{"x": 1}'}
    assert pachyderm.files(step.commit) == expected


def test_inputs(client: Minio) -> None:
    assert client.bucket_exists("images")
    assert not client.bucket_exists("nope")
    assert read(client, "images", "big.bin") == INPUT_FILES["/big.bin"]
    listed = [one.object_name for one in client.list_objects("images", recursive=True)]
    assert listed == sorted(path[1:] for path in INPUT_FILES)
    assert [one.object_name for one in client.list_objects("images", "dir/")] == ["dir/b.bin", "dir/sub/"]
    with pytest.raises(S3Error, match="AccessDenied"):
        client.put_object("images", "new", io.BytesIO(b""), 0)


def test_paged_listing(client: Minio) -> None:
    keys = [f"k/{number:04d}" for number in range(1203)]
    for key in keys:
        client.put_object("out", key, io.BytesIO(b"x"), 1)
    assert [one.object_name for one in client.list_objects("out", recursive=True)] == keys
    assert [one.object_name for one in client.list_objects("out", recursive=True, use_api_v1=True)] == keys
    after = client.list_objects("out", recursive=True, start_after="k/1199")
    assert [one.object_name for one in after] == keys[1200:]


def test_stream_of_unknown_length(client: Minio, step: Step, pachyderm: Pachyderm) -> None:
    content = os.urandom(12 * 2**20)
    client.put_object("out", "stream", io.BytesIO(content), -1, part_size=5 * 2**20)
    assert read(client, "out", "stream") == content
    step.flush()
    assert pachyderm.read(step.commit, "/stream") == content
