"""What uploads consist of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """What an object was uploaded in: one of its parts, or the whole of it.

    Args:
        number: of the part.
        size: bytes.
        md5: of the content, b"" when the SHA-256 is all that is known.
        sha256: of the content, b"" where the MD5 will do.
        checksums: headers for a read that asks for them.
    """

    number: int
    size: int
    md5: bytes
    sha256: bytes = b""
    checksums: tuple[tuple[str, str], ...] = ()
