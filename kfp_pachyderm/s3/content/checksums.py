"""The checksums that S3 knows: of content, and of an object that was uploaded in parts.

Sources: AWS "Checking object integrity in Amazon S3".
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request

#: What the headers' names start with.
PREFIX = "x-amz-checksum-"
TYPE = PREFIX + "type"
COMPOSITE, FULL_OBJECT = "COMPOSITE", "FULL_OBJECT"


class Digest(Protocol):
    """A checksum that is being computed."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Takes the next piece of content."""

    def digest(self) -> bytes:
        """The checksum of what has been taken."""


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _model(name: str) -> Any:
    import anycrc  # type: ignore[import-untyped, unused-ignore]

    return anycrc.Model(_MODELS[name])


class _AnyCrc:
    """A CRC that zlib does not have."""

    def __init__(self, name: str, length: int) -> None:
        self._calc = _model(name).calc
        self._length = length
        self._value: int = self._calc(b"")

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._calc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")


#: CRCs, by anycrc's names: those of parts can be combined into the whole object's.
_MODELS = {"crc32": "CRC32", "crc32c": "CRC32-ISCSI", "crc64nvme": "CRC64-NVME"}

#: By the ends of their headers' names.
ALGORITHMS: dict[str, Callable[[], Digest]] = {
    "crc32": _Crc32,
    "crc32c": lambda: _AnyCrc("crc32c", 4),
    "crc64nvme": lambda: _AnyCrc("crc64nvme", 8),
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
}


def encoded(digest: bytes) -> str:
    """The checksum as headers and documents have it."""
    return base64.b64encode(digest).decode()


def element(header: str) -> str:
    """What a document calls that which the header holds: x-amz-checksum-crc32 → ChecksumCRC32."""
    return "ChecksumType" if header == TYPE else "Checksum" + header[len(PREFIX) :].upper()


def named(request: S3Request) -> set[str]:
    """The algorithms whose checksums the request brings or announces."""
    trailers = request.header("x-amz-trailer").lower().replace(" ", "").split(",")
    return {
        name.removeprefix(PREFIX) for name in (*request.headers, *trailers) if name.startswith(PREFIX)
    } & ALGORITHMS.keys()


def asked(request: S3Request) -> tuple[str, str]:
    """Algorithm and type that a CreateMultipartUpload asks for; "" for none.

    Raises:
        S3Error: InvalidRequest for what S3 does not know, or does not offer together.
    """
    name = request.header(PREFIX + "algorithm").lower()
    kind = request.header(TYPE).upper()
    if not name:
        return "", ""
    kind = kind or (FULL_OBJECT if name == "crc64nvme" else COMPOSITE)
    offered = {COMPOSITE: ALGORITHMS.keys() - {"crc64nvme"}, FULL_OBJECT: _MODELS.keys()}
    if name not in offered.get(kind, ()):
        raise S3Error("InvalidRequest", f"there is no {kind} checksum by the algorithm {name!r}")
    return name, kind


def whole(name: str, kind: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of an object, from those of its parts.

    Args:
        name: the algorithm.
        kind: COMPOSITE, a checksum of checksums, or FULL_OBJECT, as if it had been uploaded at once.
        parts: their checksums, and their sizes in bytes.
    """
    digests = [base64.b64decode(checksum) for checksum, _ in parts]
    if kind == COMPOSITE:
        digest = ALGORITHMS[name]()
        digest.update(b"".join(digests))
        return f"{encoded(digest.digest())}-{len(parts)}"
    model, value = _model(name), int.from_bytes(digests[0], "big")
    for one, (_, size) in zip(digests[1:], parts[1:], strict=True):
        value = model.combine(value, int.from_bytes(one, "big"), size)
    return encoded(value.to_bytes(len(digests[0]), "big"))
