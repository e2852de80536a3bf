"""Reads aws-chunked bodies: with or without chunk signatures, with or without trailers."""

from __future__ import annotations

import hashlib
import hmac
import re

from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import Source
from kfp_pachyderm.s3.signature import Signed

_LONGEST_LINE = 8192
_MOST_TRAILERS = 32
_EMPTY = hashlib.sha256(b"").hexdigest()
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?\r\n")


class ChunkSigner:
    """Checks the chain of chunk signatures, which starts with the request's own signature.

    Args:
        signed: the request's signature.
    """

    def __init__(self, signed: Signed) -> None:
        self._signed = signed
        self._previous = signed.signature

    def _sign(self, kind: str, *digests: str) -> str:
        text = "\n".join([kind, self._signed.date, self._signed.scope, self._previous, *digests])
        return hmac.digest(self._signed.key, text.encode(), "sha256").hex()

    def _check(self, expected: str, given: str) -> None:
        if not hmac.compare_digest(expected.encode(), given.encode()):
            raise S3Error("SignatureDoesNotMatch")
        self._previous = given

    def chunk(self, digest: str, given: str) -> None:
        """Checks the signature `given` of a chunk whose content has the SHA-256 `digest` (hexadecimal)."""
        self._check(self._sign("AWS4-HMAC-SHA256-PAYLOAD", _EMPTY, digest), given)

    def trailer(self, lines: bytes, given: str) -> None:
        """Checks the signature `given` of the trailers, which are `lines` in canonical form."""
        self._check(self._sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(lines).hexdigest()), given)


class ChunkedReader:
    """Reads the content of an aws-chunked body. It needs the same memory for chunks of any size.

    Args:
        source: the body with its framing.
        signer: checks chunk signatures; None: they are ignored.

    Attributes:
        trailers: name → value; filled once the content has been read to its end.
    """

    def __init__(self, source: Source, signer: ChunkSigner | None = None) -> None:
        self._source = source
        self._signer = signer
        self._left = 0
        self._done = False
        self._digest = hashlib.sha256()
        self._given = ""
        self._first = True
        self.trailers: dict[str, str] = {}

    def read(self, size: int) -> bytes:
        """Returns at most `size` bytes of content; b"" at its end.

        Raises:
            S3Error: IncompleteBody, InvalidRequest (framing) or SignatureDoesNotMatch.
        """
        if not self._left and not self._done:
            self._next_chunk()
        if self._done or size <= 0:
            return b""
        data = self._source.read(min(size, self._left))
        if not data:
            raise S3Error("IncompleteBody")
        self._left -= len(data)
        if self._signer:
            self._digest.update(data)
        return data

    def _line(self) -> bytes:
        line = self._source.readline(_LONGEST_LINE)
        if not line:
            raise S3Error("IncompleteBody")
        if not line.endswith(b"\r\n"):
            raise S3Error("InvalidRequest", "a chunk's header line does not end")
        return line

    def _next_chunk(self) -> None:
        if not self._first:
            if self._line() != b"\r\n":
                raise S3Error("InvalidRequest", "a chunk is longer than it says")
            self._check_chunk()
        self._first = False
        found = _CHUNK.fullmatch(self._line())
        if not found:
            raise S3Error("InvalidRequest", "a chunk's header line can't be read")
        self._left = int(found[1], 16)
        self._given = (found[2] or b"").decode()
        if not self._left:
            self._finish()

    def _check_chunk(self) -> None:
        if self._signer:
            self._signer.chunk(self._digest.hexdigest(), self._given)
            self._digest = hashlib.sha256()

    def _finish(self) -> None:
        self._done = True
        self._check_chunk()
        signed, given = b"", ""
        for _ in range(_MOST_TRAILERS):
            line = self._source.readline(_LONGEST_LINE).strip()
            if not line:
                break
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"x-amz-trailer-signature":
                given = value.strip().decode("latin-1")
            else:
                self.trailers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
                signed += name.strip().lower() + b":" + value.strip() + b"\n"
        if self._signer and (signed or given):
            self._signer.trailer(signed, given)
