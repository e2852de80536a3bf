"""Reads an upload's content without its framing; checks its length and every digest that the client sent."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection

from kfp_pachyderm.s3.content.aws_chunked import ChunkedReader, ChunkSigner
from kfp_pachyderm.s3.content.checksums import ALGORITHMS, PREFIX, encoded, named
from kfp_pachyderm.s3.content.digests import Digests
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request, Source, number
from kfp_pachyderm.s3.signature import Signed

_STREAMING = "STREAMING-"
#: Bytes from which on the MD5 is computed only if the client sends Content-MD5. boto3 and AWS's command line
#: upload such objects in parts, so nobody expects the ETag to be the MD5.
_LARGE = 8 * 2**20
_LONGEST_DOCUMENT = 4 * 2**20


def _md5(value: str) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != 16:
        raise S3Error("InvalidDigest")
    return data


class Body:
    """The content of a PUT.

    Args:
        request: the request. Its headers say how the body is framed, and which length and digests it has.
        signed: the request's signature, for signed chunks; None: chunk signatures are not checked.
        sums: the algorithms of the checksums to compute; None: those that the request names.

    Attributes:
        size: bytes of content read so far.
        expected: bytes of content that the request announces; None: it announces none.
    """

    def __init__(
        self, request: S3Request, signed: Signed | None = None, sums: Collection[str] | None = None
    ) -> None:
        self._request = request
        declared = request.header("x-amz-content-sha256")
        self._reader, self.expected = self._open(request, signed, declared)
        self._declared = declared if self._hex_digest(declared) else ""
        spares_md5 = (self.expected or 0) >= _LARGE and not request.header("content-md5")
        self._md5 = None if spares_md5 else hashlib.md5(usedforsecurity=False)
        # SHA-256 replaces the MD5 of large content, for the ETag and for verification: it is twice as fast
        self._sha256 = hashlib.sha256() if self._declared or spares_md5 else None
        self._named = named(request)
        self._sums = {name: ALGORITHMS[name]() for name in (self._named if sums is None else sums)}
        self._digests = Digests(*filter(None, (self._md5, self._sha256, *self._sums.values())))
        self.size = 0

    @staticmethod
    def _hex_digest(declared: str) -> bool:
        return bool(declared) and declared != "UNSIGNED-PAYLOAD" and not declared.startswith(_STREAMING)

    @staticmethod
    def _open(
        request: S3Request, signed: Signed | None, declared: str
    ) -> tuple[Source | ChunkedReader, int | None]:
        framed = "aws-chunked" in request.header("content-encoding") and request.header(
            "x-amz-decoded-content-length"
        )
        if not declared.startswith(_STREAMING) and not framed:
            return request.body, request.length
        signer = ChunkSigner(signed) if signed and declared.startswith("STREAMING-AWS4-HMAC-SHA256") else None
        name = "x-amz-decoded-content-length"
        text = request.header(name)
        return ChunkedReader(request.body, signer), number(name, text) if text else None

    def read(self, size: int) -> bytes:
        """Returns at most `size` bytes of content; b"" at the end."""
        data = self._reader.read(size)
        self.size += len(data)
        self._digests.update(data)
        return data

    @property
    def md5(self) -> bytes:
        """The MD5 of what has been read; b"" for large content, unless the client sent Content-MD5."""
        self._digests.settle()
        return self._md5.digest() if self._md5 else b""

    @property
    def sha256(self) -> bytes:
        """The SHA-256 of what has been read; b"" for content with an MD5, unless the client sent one."""
        self._digests.settle()
        return self._sha256.digest() if self._sha256 else b""

    def finish(self) -> None:
        """Compares length and digests with those that the client declared. Call it at the end of the content.

        Raises:
            S3Error: IncompleteBody, BadDigest, InvalidDigest, XAmzContentSHA256Mismatch.
        """
        if self.expected is not None and self.size != self.expected:
            raise S3Error("IncompleteBody")
        self._digests.settle()
        content_md5 = self._request.header("content-md5")
        if content_md5 and _md5(content_md5) != self.md5:
            raise S3Error("BadDigest")
        if self._sha256 and self._declared and self._sha256.hexdigest() != self._declared.lower():
            raise S3Error("XAmzContentSHA256Mismatch")
        self._check_sums()

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]:
        """The computed checksums, as headers for the answer."""
        return tuple((PREFIX + name, encoded(digest.digest())) for name, digest in self._sums.items())

    def _check_sums(self) -> None:
        trailers = self._reader.trailers if isinstance(self._reader, ChunkedReader) else {}
        for name in self._sums.keys() & self._named:
            given = trailers.get(PREFIX + name) or self._request.header(PREFIX + name)
            if not given:
                raise S3Error("InvalidRequest", f"{PREFIX}{name} was announced and did not come")
            if encoded(self._sums[name].digest()) != given:
                raise S3Error(
                    "BadDigest", f"The {name.upper()} you specified did not match what we received."
                )


def document(request: S3Request, signed: Signed, sums: Collection[str] | None = None) -> bytes:
    """Reads the XML document in a request's body, and checks length and digests as for any body.

    Args:
        request: the request.
        signed: its signature.
        sums: as of `Body`.

    Raises:
        S3Error: MalformedXML when the body is longer than any document of S3's; errors of `Body`.
    """
    body = Body(request, signed, sums)
    data = bytearray()
    while piece := body.read(_LONGEST_DOCUMENT):
        data += piece
        if len(data) > _LONGEST_DOCUMENT:
            raise S3Error("MalformedXML")
    body.finish()
    return bytes(data)
