from __future__ import annotations

import base64
import hashlib
import hmac
import io
import zlib
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from s3_requests import request

from kfp_pachyderm.s3.content.aws_chunked import ChunkedReader, ChunkSigner
from kfp_pachyderm.s3.content.body import Body
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request
from kfp_pachyderm.s3.signature import Signed, signing_key, verify

ACCESS, SECRET = "key", "secret"
SCOPE = "20260101/us-east-1/s3/aws4_request"
SIGNED = Signed(ACCESS, signing_key(SECRET, SCOPE), SCOPE, "20260101T000000Z", "0" * 64)


def secrets(access_key: str) -> str | None:
    return SECRET if access_key == ACCESS else None


def framed(chunks: list[bytes], trailer: bytes = b"\r\n") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n" + trailer


def framed_signed(chunks: list[bytes], trailers: bytes = b"") -> bytes:
    """Frames and signs chunks as the SDKs do; implemented a second time, from AWS's description."""
    previous, parts = SIGNED.signature, []

    def sign(kind: str, *digests: str) -> str:
        text = "\n".join([kind, SIGNED.date, SIGNED.scope, previous, *digests])
        return hmac.new(SIGNED.key, text.encode(), hashlib.sha256).hexdigest()

    empty = hashlib.sha256().hexdigest()
    for chunk in [*(chunk for chunk in chunks if chunk), b""]:
        previous = sign("AWS4-HMAC-SHA256-PAYLOAD", empty, hashlib.sha256(chunk).hexdigest())
        parts.append(
            b"%x;chunk-signature=%s\r\n" % (len(chunk), previous.encode())
            + chunk
            + (b"\r\n" if chunk else b"")
        )
    if trailers:
        signature = sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(trailers + b"\n").hexdigest())
        parts.append(trailers + b"\r\nx-amz-trailer-signature:" + signature.encode() + b"\r\n")
    return b"".join(parts) + b"\r\n"


def read_all(reader: ChunkedReader, size: int) -> bytes:
    return b"".join(iter(lambda: reader.read(size), b""))


CHUNKS = st.lists(st.binary(max_size=50), max_size=5)


@given(CHUNKS, st.integers(1, 60))
def test_unsigned_framing(chunks: list[bytes], size: int) -> None:
    reader = ChunkedReader(io.BytesIO(framed(chunks, b"x-amz-checksum-crc32:AAAA\r\n\r\n")))
    assert read_all(reader, size) == b"".join(chunks)
    assert reader.trailers == {"x-amz-checksum-crc32": "AAAA"}


@given(CHUNKS, st.integers(1, 60), st.booleans())
def test_signed_framing(chunks: list[bytes], size: int, trailer: bool) -> None:
    data = framed_signed(chunks, b"x-amz-checksum-crc32:AAAA" if trailer else b"")
    assert read_all(ChunkedReader(io.BytesIO(data), ChunkSigner(SIGNED)), size) == b"".join(chunks)


@given(CHUNKS.filter(any), st.data())
def test_a_changed_byte_is_noticed(chunks: list[bytes], data: st.DataObject) -> None:
    body = bytearray(framed_signed(chunks))
    position = data.draw(st.integers(0, len(body) - 3))
    body[position] ^= data.draw(st.integers(1, 255))
    try:
        read = read_all(ChunkedReader(io.BytesIO(bytes(body)), ChunkSigner(SIGNED)), 1000)
    except S3Error:
        return
    assert read == b"".join(chunks)


@given(st.binary(max_size=100))
def test_no_framing_breaks_the_reader(data: bytes) -> None:
    reader = ChunkedReader(io.BytesIO(data))
    with suppress(S3Error):
        assert len(read_all(reader, 10)) <= len(data)


@given(CHUNKS.filter(any), st.data())
def test_a_cut_body_is_incomplete(chunks: list[bytes], data: st.DataObject) -> None:
    body = framed(chunks)
    cut = data.draw(st.integers(0, len(body) - len(b"0\r\n\r\n") - 1))
    with pytest.raises(S3Error):
        read_all(ChunkedReader(io.BytesIO(body[:cut])), 7)


def finished(headers: dict[str, str], body: bytes, signed: Signed | None = None) -> Body:
    made = Body(request("PUT", "/b/k", {"Content-Length": str(len(body)), **headers}, body), signed)
    while made.read(7):
        pass
    made.finish()
    return made


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


CONTENT = b"some content"
SUMS = {
    "x-amz-checksum-crc32": b64(zlib.crc32(CONTENT).to_bytes(4, "big")),
    "x-amz-checksum-sha1": b64(hashlib.sha1(CONTENT).digest()),
    "x-amz-checksum-sha256": b64(hashlib.sha256(CONTENT).digest()),
    "content-md5": b64(hashlib.md5(CONTENT).digest()),
    "x-amz-content-sha256": hashlib.sha256(CONTENT).hexdigest(),
}


@pytest.mark.parametrize(
    ("more", "size", "has_md5"),
    [
        ({}, 8 * 2**20, False),
        ({}, 8 * 2**20 - 1, True),
        ({"content-md5": True}, 8 * 2**20, True),
        ({"x-amz-content-sha256": False}, 8 * 2**20, False),
        ({"x-amz-content-sha256": False, "content-md5": True}, 8 * 2**20, True),
    ],
)
def test_a_large_body_has_no_md5_but_the_clients(more: dict[str, bool], size: int, has_md5: bool) -> None:
    content = bytes(size)
    said = {"x-amz-content-sha256": True, **more}
    digests = {
        "x-amz-content-sha256": hashlib.sha256(content).hexdigest(),
        "content-md5": b64(hashlib.md5(content).digest()),
    }
    headers = {name: digests[name] for name, is_said in said.items() if is_said}
    made = Body(request("PUT", "/b/k", {"Content-Length": str(size), **headers}, content))
    while made.read(2**20):
        pass
    made.finish()
    assert made.md5 == (hashlib.md5(content).digest() if has_md5 else b"")
    assert made.sha256 in (hashlib.sha256(content).digest(), b"" if has_md5 else None)


@pytest.mark.parametrize("name", SUMS)
def test_right_and_wrong_digests(name: str) -> None:
    made = finished({name: SUMS[name]}, CONTENT)
    assert (made.size, made.md5) == (len(CONTENT), hashlib.md5(CONTENT).digest())
    with pytest.raises(S3Error) as error:
        finished({name: SUMS[name]}, CONTENT + b"!")
    assert error.value.code in ("BadDigest", "XAmzContentSHA256Mismatch")


@pytest.mark.parametrize("name", ["x-amz-checksum-crc32", "content-md5", "x-amz-checksum-crc32c"])
def test_digests_that_are_none(name: str) -> None:
    with pytest.raises(S3Error) as error:
        finished({name: "%%%"}, CONTENT)
    assert error.value.status == 400


def test_checksums_in_trailers() -> None:
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(len(CONTENT)),
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    good = b"x-amz-checksum-crc32:" + SUMS["x-amz-checksum-crc32"].encode() + b"\r\n\r\n"
    assert finished(headers, framed([CONTENT], good)).size == len(CONTENT)
    with pytest.raises(S3Error, match="BadDigest"):
        finished(headers, framed([CONTENT], b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n"))
    with pytest.raises(S3Error, match="InvalidRequest"):
        finished(headers, framed([CONTENT]))
    with pytest.raises(S3Error, match="IncompleteBody"):
        finished({**headers, "x-amz-decoded-content-length": "99"}, framed([CONTENT], good))


@pytest.mark.parametrize(
    ("name", "value"),
    [("crc32c", 0xE3069283.to_bytes(4, "big")), ("crc64nvme", 0xAE8B14860A799888.to_bytes(8, "big"))],
)
def test_crcs_that_zlib_does_not_have(name: str, value: bytes) -> None:
    header = f"x-amz-checksum-{name}"
    assert finished({header: b64(value)}, b"123456789").checksums == ((header, b64(value)),)
    with pytest.raises(S3Error, match="BadDigest"):
        finished({header: b64(value)}, b"123456780")


def signed_request(method: str, url: str, signer: object, headers: dict[str, str] | None = None) -> S3Request:
    made = AWSRequest(method, url, headers=headers or {}, data=b"")
    made.context["payload_signing_enabled"] = True
    signer.add_auth(made)
    prepared = made.prepare()
    uri = prepared.url.partition("://")[2].partition("/")[2]
    found = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in prepared.headers.items()
    }
    return request(method, "/" + uri, {"host": "127.0.0.1:1234", **found})


CREDENTIALS = Credentials(ACCESS, SECRET)
URL = "http://127.0.0.1:1234/bucket/some%20key~a?list-type=2&prefix=a%2Fb%20c&uploads"


def signers(credentials: Credentials) -> list[object]:
    return [
        S3SigV4Auth(credentials, "s3", "eu-west-1"),
        S3SigV4QueryAuth(credentials, "s3", "eu-west-1", expires=60),
        HmacV1Auth(credentials),
        HmacV1QueryAuth(credentials, expires=60),
    ]


@pytest.mark.parametrize("number", range(4))
def test_signatures_of_botocore(number: int) -> None:
    good = signed_request("GET", URL, signers(CREDENTIALS)[number], {"x-amz-meta-a": " b  c "})
    assert verify(good, secrets).access_key == ACCESS
    for wrong, code in (
        (Credentials(ACCESS, "x"), "SignatureDoesNotMatch"),
        (Credentials("x", SECRET), "InvalidAccessKeyId"),
    ):
        with pytest.raises(S3Error) as error:
            verify(signed_request("GET", URL, signers(wrong)[number]), secrets)
        assert (error.value.status, error.value.code) == (403, code)


@pytest.mark.parametrize("number", range(4))
def test_old_signatures(number: int) -> None:
    made = signed_request("GET", URL, signers(CREDENTIALS)[number])
    later = datetime(2099, 1, 1, tzinfo=UTC)
    if number != 2:
        with pytest.raises(S3Error) as error:
            verify(made, secrets, later)
        assert error.value.status == 403


def test_unsigned_is_denied() -> None:
    with pytest.raises(S3Error, match="AccessDenied"):
        verify(request("GET", "/b"), secrets)


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_authorization_header_breaks_anything(value: str, date: str) -> None:
    for prefix in ("AWS4-HMAC-SHA256 ", "AWS ", "AWS4-HMAC-SHA256 Credential=", ""):
        with pytest.raises(S3Error) as error:
            verify(request("GET", "/b", {"authorization": prefix + value, "x-amz-date": date}), secrets)
        assert error.value.status in (400, 403)
