"""A step that can't reach any gRPC port: all data goes over the S3 of the job's sidecar."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from adapter_steps import INPUT_FILES
from test_adapter_faults import Proxy

from benchmarks.clients.run import Bed, Job
from kfp_pachyderm.adapter.buckets.output_bucket import OutputBucket
from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.config import AdapterConfig, Flushed
from kfp_pachyderm.adapter.control.process import AdapterProcess
from kfp_pachyderm.adapter.delivery import WriteBack
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.spool import Spool, reader
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.adapter.encoding import encode
from kfp_pachyderm.adapter.sidecar import over_s3
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.errors import WriteBackError
from kfp_pachyderm.protocol.pfs_messages import CommitName
from tests.waiting import PATIENCE

CLOSED = "grpc://127.0.0.1:1"
MANY = {f"/many/{number:04}": b"%d" % number for number in range(5100)}


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with Bed(tmp_path_factory.mktemp("bed"), INPUT_FILES | MANY) as made:
        yield made


def config(bed: Bed, job: Job, spool: Path, **changes: Any) -> AdapterConfig:
    settings = {
        "sidecar": CLOSED,
        "pachd": CLOSED,
        "token": "",
        "inputs": {"data": ("default", "data", bed.input)},
        "output": ("default", job.pipeline, job.id),
        "aliases": {},
        "access_key": "key",
        "secret_key": "secret",
        "spool": str(spool),
        "sidecar_s3": job.places["sidecar_s3"],
    }
    return AdapterConfig(**settings | changes)


@contextmanager
def client_of(process: AdapterProcess, config: AdapterConfig) -> Iterator[Any]:
    endpoint = process.configure(config, time.monotonic() + PATIENCE)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )
    yield client
    client.close()


def test_reads_and_writes_are_right_and_said_to_be_slow(bed: Bed, tmp_path: Path, capfd: Any) -> None:
    contents = {"small": b"s", "empty": b"", "with space/u": b"x" * 70_000}
    contents |= {"large": os.urandom(3 * 2**20 + 1), "parts": os.urandom(12 * 2**20 + 5)}
    with bed.job("by-s3") as job, AdapterProcess() as process:
        with client_of(process, config(bed, job, tmp_path)) as s3:
            for path, content in INPUT_FILES.items():
                assert s3.get_object(Bucket="data", Key=path[1:])["Body"].read() == content
            part = s3.get_object(Bucket="data", Key="big.bin", Range="bytes=5-1000004")["Body"].read()
            assert part == INPUT_FILES["/big.bin"][5:1000005]
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket="data")
            assert {"/" + one["Key"] for page in pages for one in page["Contents"]} == {*INPUT_FILES, *MANY}
            for key, content in (contents | {"gone": b"g", "small": b"first"}).items():
                s3.put_object(Bucket="out", Key=key, Body=content)
            assert process.flush(PATIENCE).objects == len(contents) + 1
            s3.delete_object(Bucket="out", Key="gone")
            s3.put_object(Bucket="out", Key="small", Body=contents["small"])
            s3.upload_file(write(tmp_path / "file", contents["parts"]), "out", "parts")
            sizes = sum(map(len, contents.values()))
            assert process.flush(PATIENCE) == process.flush(PATIENCE) == Flushed(len(contents), sizes)
    assert bed.hashes(job) == {k: hashlib.sha256(v).hexdigest() for k, v in contents.items()}
    said = capfd.readouterr().err
    assert f"using the sidecar's S3 at {job.places['sidecar_s3']}" in said
    assert "1653" in said


def test_encoded_keys(bed: Bed, tmp_path: Path) -> None:
    contents = {"p=a+b/x (1)": b"plus", "é/100%": b"", "a%2Bb//c": b"x" * 70_000}
    with bed.job("by-s3-encoded") as job, AdapterProcess() as process:
        with client_of(process, config(bed, job, tmp_path, encoded=("out",))) as s3:
            for key, content in (contents | {"gone@": b"g"}).items():
                s3.put_object(Bucket="out", Key=key, Body=content)
            assert process.flush(PATIENCE).objects == len(contents) + 1
            s3.delete_object(Bucket="out", Key="gone@")
            assert process.flush(PATIENCE).objects == len(contents)
    assert bed.hashes(job) == {encode(k): hashlib.sha256(v).hexdigest() for k, v in contents.items()}


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def test_a_missing_input_key_is_not_its_neighbour(bed: Bed, tmp_path: Path) -> None:
    with bed.job("by-s3-missing") as job, AdapterProcess() as process:
        with client_of(process, config(bed, job, tmp_path)) as s3:
            with pytest.raises(s3.exceptions.NoSuchKey):
                s3.get_object(Bucket="data", Key="a.tx")


def test_a_cut_put_is_sent_again_and_after_a_restart_all(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {"before": b"confirmed", "cut": os.urandom(2**21)}
    puts: list[str] = []
    put = over_s3.S3Remote._put

    def counted(self: over_s3.S3Remote, name: CommitName, file: Stored) -> None:
        puts.append(file.key)
        put(self, name, file)

    monkeypatch.setattr(over_s3.S3Remote, "_put", counted)
    with bed.job("by-s3-cut") as job, closing(Proxy(job.places["sidecar_s3"])) as proxy:

        def connect(self: http.client.HTTPConnection) -> None:
            # the sidecar accepts only its own name as host, so the address stays and the connection is
            # redirected
            self.sock = socket.create_connection(("127.0.0.1", proxy.port))

        monkeypatch.setattr(http.client.HTTPConnection, "connect", connect)
        proxy.cut_after = [2**20]
        made, bucket = config(bed, job, tmp_path), OutputBucket()
        spool = Spool(tmp_path, 2**30)
        for key, content in contents.items():
            file, digest = spool.write(io.BytesIO(content)), hashlib.sha256(content).digest()
            pieces = (Piece(1, file.size, b"", digest),)
            bucket.put(Stored(key, file.size, "", datetime.now(UTC), reader(file), pieces))
        writeback = WriteBack(Sidecar(made), made.output, bucket, spool)
        assert writeback.flush(PATIENCE) == Flushed(2, sum(map(len, contents.values())))
        assert proxy.cut_after == []
        assert puts == ["before", "cut", "cut"]
        # Pachyderm started the job again, and emptied its output commit
        writeback.restart()
        assert writeback.flush(PATIENCE).objects == 2
        assert puts[3:] == ["before", "cut"]
        monkeypatch.undo()
    assert bed.hashes(job) == {key: hashlib.sha256(data).hexdigest() for key, data in contents.items()}


def test_a_job_that_has_ended_takes_nothing_and_the_key_is_named(bed: Bed, tmp_path: Path) -> None:
    with bed.job("by-s3-ended") as job, AdapterProcess() as process:
        with client_of(process, config(bed, job, tmp_path)) as s3:
            s3.put_object(Bucket="out", Key="some key", Body=b"x")
            s3.list_objects_v2(Bucket="data", MaxKeys=1)
            bed.end(job)
            with pytest.raises(WriteBackError, match="'some key'"):
                process.flush(2)


def test_more_than_its_put_takes_is_refused_by_name(bed: Bed, tmp_path: Path) -> None:
    with bed.job("by-s3-large") as job:
        remote = over_s3.S3Remote(job.places["sidecar_s3"], config(bed, job, tmp_path))
        large = Stored("large", 2**32, "", None, lambda *_: iter(()))  # type: ignore[arg-type]
        with pytest.raises(CallFailedError, match="'large' has 4294967296 bytes, its S3 takes 4294967295"):
            remote.write(("default", job.pipeline, job.id), [large], [], 1)
