"""Sends recorded requests again, with new dates and signatures, and makes answers comparable."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from tests.waiting import PATIENCE

HERE = Path(__file__).parent / "vectors"
KEY = "default"

#: The compared headers, which are those that clients read.
COMPARED = (
    "accept-ranges", "content-range", "content-type", "etag", "last-modified", "location", "x-amz-version-id",
    "x-amz-copy-source-version-id", "x-content-type-options", "content-length",
    "x-amz-request-id", "x-amz-id-2",
)  # fmt: skip
_MASKS = (
    (re.compile(r"<RequestId>[^<]+</RequestId>"), "<RequestId>ID</RequestId>"),
    (re.compile(r"<UploadId>[0-9a-f]{32}</UploadId>"), "<UploadId/>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"), "DATE"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"[0-9a-f]{60}"), "BOUNDARY"),
)
_BUCKETS = re.compile(r"<Bucket><Name>.*?</Bucket>")
_PART = re.compile(r"<Part><PartNumber>(\d+)</PartNumber><ETag>HASH</ETag></Part>")
_BODY = re.compile(rb"([0-9a-f]+);chunk-signature=[0-9a-f]{64}\r\n")


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


def mask(text: str) -> str:
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    return text


def body_of(request: dict[str, Any]) -> bytes:
    if request.get("body_b64"):
        return base64.b64decode(request["body_b64"])
    if request.get("body_len"):
        body = bytes((i * 7 + i // 251) % 256 for i in range(request["body_len"]))
        assert hashlib.sha256(body).hexdigest() == request["body_sha256"]
        return body
    return (request.get("body_text") or "").encode()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _signing_key(secret: str, day: str) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in (day, "us-east-1", "s3", "aws4_request"):
        key = _hmac(key, part)
    return key


@dataclass
class Recording:
    """One recorded request, to be sent to another host; signed with `secret` if it was signed."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    secret: str = KEY
    names: dict[str, str] = field(default_factory=dict)

    def sign(self) -> None:
        authorization = next((v for k, v in self.headers.items() if k.lower() == "authorization"), "")
        if authorization.startswith("AWS4-HMAC-SHA256") and authorization.count("/") == 4:
            self._sign_v4(authorization)
        elif authorization.startswith("AWS "):
            self._sign_v2(authorization)

    def _sign_v2(self, authorization: str) -> None:
        self.headers["Date"] = formatdate(usegmt=True)
        text = f"{self.method}\n\n\n{self.headers['Date']}\n{self.path}"
        digest = base64.b64encode(
            hmac.new(self.secret.encode(), text.encode(), hashlib.sha1).digest()
        ).decode()
        self.headers["Authorization"] = f"{authorization.split(':')[0]}:{digest}"

    def _sign_v4(self, authorization: str) -> None:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        access_key = re.search(r"Credential=([^/]+)", authorization)[1]
        signed = re.search(r"SignedHeaders=([^,]+)", authorization)[1]
        lower = {name.lower(): name for name in self.headers}
        self.headers[lower["x-amz-date"]] = now
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        path, _, query = self.path.partition("?")
        canonical = "\n".join([
            self.method, quote(unquote(path), safe="/-_.~"),
            "&".join(sorted(f"{quote(k, safe='')}={quote(v, safe='')}"
                            for k, v in parse_qsl(query, keep_blank_values=True))),
            "".join(f"{name}:{self.headers[lower[name]].strip()}\n" for name in signed.split(";")),
            signed, self.headers[lower["x-amz-content-sha256"]],
        ])  # fmt: skip
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = _signing_key(self.secret, now[:8])
        signature = _hmac(key, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}").hex()
        self.headers[lower["authorization"]] = (
            f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        self._seed = (key, now, scope, signature)

    def sign_chunks(self) -> None:
        key, now, scope, previous = self._seed
        body, position, parts = self.body, 0, []
        while found := _BODY.match(body, position):
            size = int(found[1], 16)
            content = body[found.end() : found.end() + size]
            digests = [hashlib.sha256(data).hexdigest() for data in (b"", content)]
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", now, scope, previous, *digests])
            previous = _hmac(key, text).hex()
            parts += [b"%x;chunk-signature=%s\r\n" % (size, previous.encode()), content]
            position = found.end() + size
            if size:
                parts.append(b"\r\n")
                position += 2
        self.body = b"".join(parts) + body[position:]

    def send(self, port: int) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.putrequest(self.method, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            chunked = any(v == "chunked" for k, v in self.headers.items() if k.lower() == "transfer-encoding")
            connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.body), self.body) if chunked else self.body)
            if self._short():
                connection.sock.shutdown(1)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def _short(self) -> bool:
        length = next((v for k, v in self.headers.items() if k.lower() == "content-length"), "0")
        return length.isdigit() and int(length) > len(self.body)


def comparable(status: int | None, headers: dict[str, str], body: str, ids: dict[str, str]) -> dict[str, Any]:
    for found, name in ids.items():
        body = body.replace(found, name)
        headers = {k: v.replace(found, name) for k, v in headers.items()}
    kept = {k: mask(headers[k]) for k in COMPARED if k in headers}
    if not body or "<" in body:
        # The length of an XML document differs with its IDs, and chunked answers have none.
        kept.pop("content-length", None)
    return {"status": status, "headers": kept, "body": _buckets_sorted(_without_keep_file(mask(body)))}


def _without_keep_file(body: str) -> str:
    """Drops the part that is the `.keep` file: its number comes from the upload's ID, which differs."""
    numbers = [int(number) for number in _PART.findall(body)]
    kept = numbers and (numbers[0] not in (1, 2) or numbers != sorted(set(numbers)))
    return _PART.sub("", body, count=1) if kept else body


def _buckets_sorted(body: str) -> str:
    """Sorts the buckets of a listing: Go lists them in a map's random order."""
    buckets = _BUCKETS.findall(body)
    return _BUCKETS.sub("", body) + "".join(sorted(buckets))
