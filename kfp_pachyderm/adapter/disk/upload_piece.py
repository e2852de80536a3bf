"""The pieces of an upload."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """One piece of an object's upload: a part, or the whole object. It has an MD5, a SHA-256, or both.

    Args:
        number: the part's number; 1 for a whole object.
        size: bytes.
        md5: the content's MD5, b"" if it was not computed.
        sha256: the content's SHA-256, b"" if it was not computed.
        checksums: checksum headers, which a read returns if it asks for them.
    """

    number: int
    size: int
    md5: bytes
    sha256: bytes = b""
    checksums: tuple[tuple[str, str], ...] = ()
