"""An upload's content: unframed, counted, and checked against every digest that the client sent."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Protocol

from kfp_pachyderm.s3.chunked import ChunkedReader, ChunkSigner
from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request, Source
from kfp_pachyderm.s3.signature import Signed

_PREFIX = "x-amz-checksum-"
_STREAMING = "STREAMING-"
#: Pieces from this size on are digested beside receiving and writing; hashlib lets other threads run then.
_BESIDE = 2**18


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _AnyCrc:
    """A CRC that zlib does not have."""

    def __init__(self, model: str, length: int) -> None:
        import anycrc  # type: ignore[import-untyped, unused-ignore]

        self._calc = anycrc.Model(model).calc
        self._length = length
        self._value: int = self._calc(b"")

    def update(self, data: bytes, /) -> None:
        self._value = self._calc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")


#: The checksums that S3 knows, by the ends of their headers' names.
_CHECKSUMS: dict[str, Callable[[], _Digest]] = {
    "crc32": _Crc32,
    "crc32c": lambda: _AnyCrc("CRC32-ISCSI", 4),
    "crc64nvme": lambda: _AnyCrc("CRC64-NVME", 8),
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
}


def _md5(value: str) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != 16:
        raise S3Error("InvalidDigest")
    return data


@cache
def _digesting() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="digest")


class Body:
    """The content of a PUT.

    Args:
        request: its headers say how the body is framed and what it must match.
        signed: the request's signature, for signed chunks; None: chunk signatures are not checked.

    Attributes:
        size: bytes of content read so far.
    """

    def __init__(self, request: S3Request, signed: Signed | None = None) -> None:
        self._request = request
        declared = request.header("x-amz-content-sha256")
        self._reader, self._expected = self._open(request, signed, declared)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if self._hex_digest(declared) else None
        self._declared = declared
        self._sums = {name: _CHECKSUMS[name]() for name in self._named()}
        self._digested: Future[None] | None = None
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
        text = request.header("x-amz-decoded-content-length")
        if text and not (text.isascii() and text.isdigit()):
            raise S3Error("InvalidArgument", f"x-amz-decoded-content-length {text!r} is no number")
        return ChunkedReader(request.body, signer), int(text) if text else None

    def _named(self) -> set[str]:
        trailers = self._request.header("x-amz-trailer").lower().replace(" ", "").split(",")
        names = {
            name[len(_PREFIX) :] for name in (*self._request.headers, *trailers) if name.startswith(_PREFIX)
        }
        return names & _CHECKSUMS.keys()

    def read(self, size: int) -> bytes:
        """At most `size` bytes of content; b"" at the end."""
        data = self._reader.read(size)
        self.size += len(data)
        self._await_digests()
        if len(data) < _BESIDE:
            self._digest(data)
        else:
            self._digested = _digesting().submit(self._digest, data)
        return data

    def _digest(self, data: bytes) -> None:
        self._md5.update(data)
        if self._sha256:
            self._sha256.update(data)
        for digest in self._sums.values():
            digest.update(data)

    def _await_digests(self) -> None:
        if self._digested is not None:
            self._digested.result()

    @property
    def md5(self) -> bytes:
        """MD5 of what has been read."""
        self._await_digests()
        return self._md5.digest()

    def finish(self) -> None:
        """Compares length and digests with what the client declared; to be called at the end of the content.

        Raises:
            S3Error: IncompleteBody, BadDigest, InvalidDigest, XAmzContentSHA256Mismatch.
        """
        if self._expected is not None and self.size != self._expected:
            raise S3Error("IncompleteBody")
        self._await_digests()
        content_md5 = self._request.header("content-md5")
        if content_md5 and _md5(content_md5) != self.md5:
            raise S3Error("BadDigest")
        if self._sha256 and self._sha256.hexdigest() != self._declared.lower():
            raise S3Error("XAmzContentSHA256Mismatch")
        self._check_sums()

    @property
    def checksums(self) -> tuple[tuple[str, str], ...]:
        """The verified checksums as headers of the answer."""
        return tuple(
            (_PREFIX + name, base64.b64encode(digest.digest()).decode())
            for name, digest in self._sums.items()
        )

    def _check_sums(self) -> None:
        trailers = self._reader.trailers if isinstance(self._reader, ChunkedReader) else {}
        for name, digest in self._sums.items():
            given = trailers.get(_PREFIX + name) or self._request.header(_PREFIX + name)
            if not given:
                raise S3Error("InvalidRequest", f"{_PREFIX}{name} was announced and did not come")
            if base64.b64encode(digest.digest()).decode() != given:
                raise S3Error(
                    "BadDigest", f"The {name.upper()} you specified did not match what we received."
                )
