"""The gateway with auth on, its routing by Host, and real S3 clients against it."""

from __future__ import annotations

import http.client
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from gateway_memory import MemoryView

from kfp_pachyderm.embedded.gateway.app import gateway_app
from kfp_pachyderm.embedded.gateway.job_buckets import Bucket, JobBuckets
from kfp_pachyderm.s3.http.server import S3Server
from tests.waiting import PATIENCE

SERVICE, JOB = "s3-" + "0" * 32, "1" * 32
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def buckets(token: str | None = None) -> JobBuckets:
    files = {f"/d/{number:04}": b"x" for number in range(1500)} | {"/a.txt": b"auth data"}
    made = {
        "ain": Bucket("ain", False, JOB, WHEN, MemoryView(files, WHEN)),
        "out": Bucket("out", True, JOB, WHEN, MemoryView()),
    }
    return JobBuckets(SERVICE, made, token)


class Running:
    def __init__(self, token: str | None) -> None:
        self.buckets = buckets(token)
        self.hosts: set[str] = set()
        self.server = S3Server(gateway_app(self.buckets, self.hosts))  # type: ignore[arg-type]
        self.hosts.add(f"127.0.0.1:{self.server.port}")

    def client(self, key: str = "default", secret: str | None = None) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.server.port}",
            aws_access_key_id=key,
            aws_secret_access_key=secret or key,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 1}),
        )


@pytest.fixture(scope="module")
def open_gateway() -> Iterator[Running]:
    running = Running(None)
    yield running
    running.server.close()


def status(running: Running, host: str, path: str = "/") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", running.server.port, timeout=PATIENCE)
    try:
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (f"{SERVICE}.pachyderm:1600", 200),
        (f"{SERVICE}.pachyderm.svc.cluster.local", 200),
        (SERVICE, 200),
        (f"{SERVICE}:1600", 500),
        (f"vec.{SERVICE}.pachyderm:1600", 500),
        ("s3-" + "f" * 32 + ".pachyderm:1600", 500),
        ("localhost:1600", 500),
    ],
)
def test_hosts(open_gateway: Running, host: str, expected: int) -> None:
    assert status(open_gateway, host) == expected


def test_the_loopback_address_stands_for_the_service(open_gateway: Running) -> None:
    assert status(open_gateway, f"127.0.0.1:{open_gateway.server.port}") == 200


def test_boto3_writes_and_reads(open_gateway: Running) -> None:
    client = open_gateway.client()
    client.put_object(Bucket="out", Key="k", Body=b"data")
    client.upload_fileobj(io.BytesIO(b"z" * 9 * 2**20), "out", "large")
    view = open_gateway.buckets.buckets["out"].view
    assert b"".join(view.read("/k", 0, 4)) == b"data"
    found = view.inspect("/large")
    assert found
    assert found.size == 9 * 2**20
    with pytest.raises(ClientError, match="404"):
        client.head_object(Bucket="out", Key="k")
    with client.get_object(Bucket="ain", Key="a.txt")["Body"] as body:
        assert body.read() == b"auth data"
    with pytest.raises(ClientError, match="NotImplemented"):
        client.put_object(Bucket="ain", Key="k", Body=b"data")
    client.close()


def test_listing_version_2_is_cut_silently(open_gateway: Running) -> None:
    client = open_gateway.client()
    pages = list(client.get_paginator("list_objects_v2").paginate(Bucket="ain"))
    assert sum(len(page["Contents"]) for page in pages) == 1000
    pages = list(client.get_paginator("list_objects").paginate(Bucket="ain"))
    assert sum(len(page["Contents"]) for page in pages) == 1501
    client.close()


def test_auth_off_takes_any_key_that_is_its_own_secret(open_gateway: Running) -> None:
    client = open_gateway.client("whatever")
    assert len(client.list_buckets()["Buckets"]) == 2
    client.close()
