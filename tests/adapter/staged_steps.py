"""A step's adapter in this process, whose large objects are small."""

from __future__ import annotations

import random
import threading
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from adapter_steps import ACCESS, SECRET, Pachyderm
from botocore.config import Config

from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.delivery import WriteBack
from kfp_pachyderm.adapter.disk import segments, staged_object, uploads
from kfp_pachyderm.adapter.disk.segments import Segment
from kfp_pachyderm.adapter.operations.endpoint import Adapter
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.adapter.sidecar.file_sets import FileSets
from kfp_pachyderm.protocol.file_hash import LARGEST, FileHash
from kfp_pachyderm.s3.http.server import S3Server
from tests.waiting import PATIENCE

LARGE = 8 * 2**20


def cut(content: bytes) -> list[int]:
    """The sizes of a content's segments, if each segment is one chunk."""
    ends = FileHash().update(content)
    return [end - start for start, end in pairwise([0, *ends, *{len(content)} - {*ends}])]


def content(number: int, size: int = 30 * 2**20) -> bytes:
    return random.Random(number).randbytes(size)


CONTENT = content(4)
SEGMENTS = cut(CONTENT)


def _shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SEGMENT", LARGEST)
    monkeypatch.setattr(staged_object, "LARGE", LARGE)
    for module in (staged_object, uploads):
        monkeypatch.setattr(module, "STEP", 2**20)


class Steps:
    """A step's adapter in this process, with a record of its calls to Pachyderm."""

    def __init__(self, pachyderm: Pachyderm, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _shrink(monkeypatch)
        self._pachyderm, self.commit = pachyderm, pachyderm.open_commit()
        name = ("default", self.commit.repo.name, self.commit.id)
        config = AdapterConfig(
            pachyderm.address, pachyderm.address, "", {}, name, {}, ACCESS, SECRET, str(folder)
        )
        sidecar = Sidecar(config)
        adapter = Adapter(config, sidecar)
        assert adapter.buckets.output
        self.renewal = adapter.renewal
        self.writeback = WriteBack(sidecar, name, adapter.buckets.output, adapter.spool)
        self.server = S3Server(adapter.wsgi())
        endpoint = f"http://127.0.0.1:{self.server.port}"
        keys = {"aws_access_key_id": ACCESS, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        self.s3: Any = boto3.client(
            "s3", endpoint_url=endpoint, **keys, config=Config(retries={"max_attempts": 0})
        )
        self.made: list[tuple[str, int, bool]] = []
        self.ready = threading.Condition()
        real = FileSets.create

        def create(sets: FileSets, key: str, segment: Segment, first: bool) -> str:
            found = real(sets, key, segment, first)
            with self.ready:
                self.made.append((key, segment.size, first))
                self.ready.notify_all()
            return found

        monkeypatch.setattr(FileSets, "create", create)

    def wait_for(self, count: int) -> None:
        with self.ready:
            assert self.ready.wait_for(lambda: len(self.made) >= count, PATIENCE)

    def files(self) -> dict[str, bytes]:
        return self._pachyderm.files(self.commit)


def begun(steps: Steps, length: int) -> HTTPConnection:
    """Begins a PUT of the object "a/b", whose content is sent later."""
    url = urlsplit(steps.s3.generate_presigned_url("put_object", {"Bucket": "out", "Key": "a/b"}))
    client = HTTPConnection(url.netloc, timeout=PATIENCE)
    client.putrequest("PUT", f"{url.path}?{url.query}")
    client.putheader("Content-Length", str(length))
    client.endheaders()
    return client
