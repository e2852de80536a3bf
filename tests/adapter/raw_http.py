"""HTTP by hand: correctly signed or damaged requests, and their answers."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from adapter_steps import ACCESS, SECRET, Step

from kfp_pachyderm.s3.signature import signing_key
from tests.waiting import PATIENCE

EMPTY = hashlib.sha256(b"").hexdigest()
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class Seal:
    """A request's signature, with the fields that sign the chunks of its body."""

    authorization: str
    date: str
    scope: str
    signature: str

    def sign(self, *lines: str) -> str:
        text = "\n".join(lines)
        return hmac.new(signing_key(SECRET, self.scope), text.encode(), hashlib.sha256).hexdigest()


def seal(method: str, path: str, query: str, headers: dict[str, str]) -> Seal:
    """Signs all these headers by Signature Version 4. The query must be sorted and encoded."""
    date = headers["x-amz-date"]
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
    canonical = "\n".join([method, path, query, lines, names, headers["x-amz-content-sha256"]])
    made = Seal("", date, scope, "")
    signature = made.sign("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest())
    credential = f"Credential={ACCESS}/{scope}, SignedHeaders={names}, Signature={signature}"
    return Seal(f"AWS4-HMAC-SHA256 {credential}", date, scope, signature)


def now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def signed(
    method: str,
    key: str,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    payload: str = "UNSIGNED-PAYLOAD",
) -> tuple[bytes, Seal]:
    """The head of a correctly signed request, without the empty line at its end; `key` is "bucket/key"."""
    path = "/" + quote(key, safe="/-_.~")
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in (query or {}).items())
    text = "&".join(f"{name}={value}" for name, value in pairs)
    own = {"host": "127.0.0.1", "x-amz-date": now(), "x-amz-content-sha256": payload}
    made = seal(method, path, text, own)
    lines = [f"{method} {path}{'?' + text if text else ''} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**own, **(headers or {})}.items()]
    lines.append(f"Authorization: {made.authorization}")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n", made


def request(
    method: str,
    key: str,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> bytes:
    """A correctly signed request."""
    head, _ = signed(method, key, query, {"content-length": str(len(body)), **(headers or {})})
    return head + b"\r\n" + body


def connect(step: Step) -> socket.socket:
    host, _, port = step.host.partition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def receive(sock: socket.socket) -> bytes:
    """Receives until the other side closes the connection.

    Raises:
        AssertionError: it does not close in time.
    """
    end, pieces = time.monotonic() + PATIENCE, []
    while True:
        assert time.monotonic() < end, f"no end of the answer: {pieces}"
        try:
            piece = sock.recv(65536)
        except ConnectionError:
            piece = b""
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def exchange(step: Step, data: bytes) -> bytes:
    """Sends these bytes and then no more; returns the adapter's answer."""
    with connect(step) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            # the adapter may close the connection before it has read all of a request that it refuses
            pass
        return receive(sock)


def statuses(answer: bytes) -> list[int]:
    """The status of each answer, without "100 Continue"."""
    return [int(status) for status in _STATUS.findall(answer) if status != b"100"]


def status(step: Step, data: bytes) -> int:
    """The status of the one answer to these bytes."""
    (found,) = statuses(exchange(step, data))
    return found
