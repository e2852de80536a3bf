"""The checksums of S3: of content, and of objects that were uploaded in parts.

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

#: The beginning of the names of checksum headers.
PREFIX = "x-amz-checksum-"
TYPE = PREFIX + "type"
COMPOSITE, FULL_OBJECT = "COMPOSITE", "FULL_OBJECT"


class Digest(Protocol):
    """A checksum that is being computed; hashlib's interface."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Takes the next piece of content."""

    def digest(self) -> bytes:
        """Returns the checksum of the content so far."""


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
    """A CRC that zlib lacks, computed by anycrc."""

    def __init__(self, name: str, length: int) -> None:
        self._calc = _model(name).calc
        self._length = length
        self._value: int = self._calc(b"")

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._calc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")


#: The CRC algorithms, with anycrc's names. CRCs of parts can be combined into the whole object's CRC.
_MODELS = {"crc32": "CRC32", "crc32c": "CRC32-ISCSI", "crc64nvme": "CRC64-NVME"}

#: The checksum algorithms, by the ends of their headers' names.
ALGORITHMS: dict[str, Callable[[], Digest]] = {
    "crc32": _Crc32,
    "crc32c": lambda: _AnyCrc("crc32c", 4),
    "crc64nvme": lambda: _AnyCrc("crc64nvme", 8),
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
}


def encoded(digest: bytes) -> str:
    """Encodes a checksum for headers and XML documents: base64."""
    return base64.b64encode(digest).decode()


def element(header: str) -> str:
    """Returns the XML element's name for a checksum header: x-amz-checksum-crc32 → ChecksumCRC32."""
    return "ChecksumType" if header == TYPE else "Checksum" + header[len(PREFIX) :].upper()


def named(request: S3Request) -> set[str]:
    """Returns the algorithms whose checksums the request has in a header, or announces for its trailer."""
    trailers = request.header("x-amz-trailer").lower().replace(" ", "").split(",")
    return {
        name.removeprefix(PREFIX) for name in (*request.headers, *trailers) if name.startswith(PREFIX)
    } & ALGORITHMS.keys()


def asked(request: S3Request) -> tuple[str, str]:
    """Returns the checksum's algorithm and type that a CreateMultipartUpload asks for; "" for none.

    Raises:
        S3Error: InvalidRequest for an algorithm, or a pair of algorithm and type, that S3 does not offer.
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
    """Computes the checksum of an object from the checksums of its parts.

    Args:
        name: the algorithm.
        kind: COMPOSITE (the checksum of the parts' checksums), or FULL_OBJECT (the checksum of the content).
        parts: for each part its checksum (base64) and its size in bytes.
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
