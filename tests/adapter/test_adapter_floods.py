"""Clients that send too much, or too little, cost bounded memory and keep nobody waiting."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from adapter_steps import INPUT_FILES, Pachyderm, Step
from raw_http import connect, receive, request, signed, status, statuses

#: Connections of each kind: together more than the threads of any usual thread pool.
MANY = 16
MOST = 150 * 2**20
FLOOD = 64 * 2**20


def flooded(step: Step, head: bytes, piece: bytes) -> list[int]:
    """Sends the head, then as many pieces as the adapter accepts; returns the statuses of the answers."""
    with connect(step) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(head)
            for _ in range(FLOOD // len(piece)):
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
        return statuses(receive(sock))


def chunked(key: str) -> bytes:
    return signed("PUT", key, headers={"transfer-encoding": "chunked"})[0] + b"\r\n"


@pytest.fixture(scope="module")
def flood(new_step: Any) -> Iterator[Step]:
    with new_step() as made:
        yield made


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"a" * 2**16),
        (b"GET / HTTP/1.1\r\n", b"".join(b"a%d: b\r\n" % number for number in range(4096))),
        (b"GET / HTTP/1.1\r\na: ", b"b" * 2**16),
        (lambda: chunked("out/line"), b"0" * 2**16),
        (lambda: chunked("out/extension") + b"5;", b"x" * 2**16),
        (lambda: chunked("out/trailers") + b"0\r\n", b"a: b\r\n" * 2**12),
        (lambda: request("POST", "out", {"delete": ""}, {"content-length": str(FLOOD)}), b"<Delete>" * 2**13),
        (lambda: chunked("out/framing") + b"ffffffffff\r\n", b"c" * 2**20),
    ],
    ids=["line", "headers", "header", "chunk-line", "chunk-extension", "trailers", "document", "chunk"],
)
def test_floods(flood: Step, head: Any, piece: bytes) -> None:
    found = flooded(flood, head() if callable(head) else head, piece)
    assert all(400 <= code < 500 for code in found)
    assert flood.peak_memory() < MOST
    assert status(flood, request("GET", "out")) == 200


def stalled_put(step: Step, number: int) -> socket.socket:
    sock = connect(step)
    head, _ = signed("PUT", f"out/stalled{number}", headers={"content-length": str(2**24)})
    sock.sendall(head + b"\r\n" + b"x" * (2**19 + 17))
    return sock


def stalled_get(step: Step, key: str) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, _, port = step.host.partition(":")
    sock.connect((host, int(port)))
    sock.sendall(request("GET", key))
    sock.recv(1)
    return sock


def stalled_head(step: Step) -> socket.socket:
    sock = connect(step)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-Half")
    return sock


def test_slow_clients_keep_nobody_waiting(s3: Any, step: Step) -> None:
    s3.put_object(Bucket="out", Key="large", Body=INPUT_FILES["/big.bin"])
    with ExitStack() as stack:
        waiting = []
        for number in range(MANY):
            waiting += (connect(step), stalled_head(step), stalled_put(step, number))
            for one in waiting[-3:]:
                stack.enter_context(one)
            # for each input that is read slowly, one gRPC message of several MiB stays in memory
            stack.enter_context(stalled_get(step, "out/large" if number % 4 else "images/big.bin"))
        s3.put_object(Bucket="out", Key="quick", Body=b"x" * 2**20)
        assert len(s3.list_objects_v2(Bucket="out")["Contents"]) == 2
        # none of the slow connections was closed
        assert select.select(waiting, [], [], 0)[0] == []
        assert step.peak_memory() < MOST
    assert step.flush().objects == 2


def test_many_objects_are_read_in_turns(step: Step) -> None:
    """A merge keeps all of its inputs open, so no connection may have to wait for another one's end."""
    client = boto3.client("s3", config=boto3.session.Config(max_pool_connections=50))
    bodies = [client.get_object(Bucket="images", Key="big.bin")["Body"] for _ in range(50)]
    assert {body.read(1000) for body in bodies} == {INPUT_FILES["/big.bin"][:1000]}
    for body in bodies:
        body.close()
    client.close()


DYING = """
import http.client, os, sys
from urllib.parse import urlsplit
held = []
for url, framing, body in zip(*[iter(sys.argv[1:])] * 3):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.putrequest("PUT", parts.path + "?" + parts.query)
    name, _, value = framing.partition(":")
    connection.putheader(name, value)
    connection.endheaders()
    connection.send(body.encode())
    held.append(connection)
print("sent", flush=True)
sys.stdin.read()
"""


def test_user_code_that_dies_leaves_nothing(s3: Any, step: Step, pachyderm: Pachyderm) -> None:
    """Killed within a PUT, a chunked PUT, a part, and between parts and their completion."""
    s3.put_object(Bucket="out", Key="whole", Body=b"whole")
    upload = {"Bucket": "out", "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    s3.upload_part(**upload, PartNumber=1, Body=b"a" * 5 * 2**20)
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "out", "Key": "half"})
    part = s3.generate_presigned_url("upload_part", Params={**upload, "PartNumber": 2})
    stream = s3.generate_presigned_url("put_object", Params={"Bucket": "out", "Key": "chunked"})
    arguments = [put, "Content-Length:1000000", "x" * 1000]
    arguments += [stream, "Transfer-Encoding:chunked", "5\r\nhello\r\n"]
    arguments += [part, "Content-Length:1000000", "x" * 1000]
    with subprocess.Popen(
        [sys.executable, "-c", DYING, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"sent\n"
        child.kill()
    assert step.flush().objects == 1
    assert pachyderm.files(step.commit) == {"/whole": b"whole"}
