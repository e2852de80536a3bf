"""The HTTP server: the time limit of a request's head, chunked transfers, when connections are closed."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.http import server as module
from kfp_pachyderm.s3.http.chunked_transfer import TransferReader
from kfp_pachyderm.s3.http.server import S3Server
from kfp_pachyderm.s3.http.wsgi import Response, application
from kfp_pachyderm.s3.request import S3Request
from tests.waiting import PATIENCE


def echo(request: S3Request) -> Response:
    return Response(200, (), request.body.read(100))


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(module, "_HEAD", 3.0)
    with S3Server(application(echo)) as server:
        yield server.port


def talk(port: int, *pieces: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        for piece in pieces:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def trickle_a_head(port: int) -> bytes:
    """Sends one byte after the other, with pauses, until an answer arrives."""
    ended = threading.Event()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:

        def trickle() -> None:
            sock.sendall(b"GET / HTTP/1.1\r\nX: ")
            while not ended.wait(0.05):
                try:
                    sock.sendall(b"a")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        answer = sock.recv(100)
        ended.set()
        thread.join()
    return answer


def test_a_head_that_trickles_in_is_given_up_and_a_body_may_take_longer(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(b"PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
        assert trickle_a_head(port).startswith(b"HTTP/1.1 408")
        sock.sendall(b"b")
        sock.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: sock.recv(1000), b"")).endswith(b"\r\n\r\nab")


def test_connections_go_on_after_a_transfer_and_end_after_a_broken_one(port: int) -> None:
    put = b"PUT /b/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    good = put + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    assert talk(port, good, good).count(b"\r\n\r\nabcde") == 2
    broken = talk(port, put + b"zz\r\nabc\r\n" + good)
    assert broken.count(b"HTTP/1.1") == 1
    assert b"<Code>InvalidRequest</Code>" in broken
    assert b"Connection: close" in broken


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=4), st.integers(1, 40), st.booleans())
def test_transfers_are_unframed(chunks: list[bytes], size: int, lines: bool) -> None:
    data = b"".join(b"%X\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\nnext"
    source = io.BytesIO(data)
    reader = TransferReader(source)
    pieces = list(iter(lambda: (reader.readline if lines else reader.read)(size), b""))
    assert b"".join(pieces) == b"".join(chunks)
    assert all(b"\n" not in piece[:-1] for piece in pieces if lines)
    assert source.read() == b"next"


@given(st.binary(max_size=60))
def test_no_transfer_breaks_the_reader(data: bytes) -> None:
    reader = TransferReader(io.BytesIO(data))
    with suppress(S3Error):
        while piece := reader.read(10):
            assert len(piece) <= min(10, len(data))


def test_a_broken_transfer_stays_broken() -> None:
    reader = TransferReader(io.BytesIO(b"3\r\nab"))
    for _ in range(2):
        with pytest.raises(S3Error, match="IncompleteBody"):
            reader.read(10)
