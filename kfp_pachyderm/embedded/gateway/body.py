"""A request's body as s2 reads it before any handler sees it (s2.go, bodyReadingMiddleware)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace

from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import S3Request

_PIECE = 2**20
_MOST_BYTES = 2**32 - 1
#: Bytes that are kept of a body that a handler parses; no real document is longer.
_DOCUMENT = 2**23
#: Bytes that Go's Request.FormValue reads from a form's body; the handler gets the rest.
_FORM = 10 * 2**20 + 1


class Body:
    """A request's body. Reading it to its end checks its length and its Content-MD5.

    Without a Content-Length (Transfer-Encoding: chunked) s2 checks nothing.

    Args:
        request: the request.

    Raises:
        S3Error: InvalidArgument for a length of more than 32 bits; the connection is closed then, since the
            body stays unread.
    """

    def __init__(self, request: S3Request) -> None:
        self._request, self._left = request, request.length
        self._declared = request.headers.get("content-md5")
        self._md5 = hashlib.md5(usedforsecurity=False)
        if self._left is not None and self._left > _MOST_BYTES:
            raise S3Error("InvalidArgument", headers=(("Connection", "close"),))

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" at the end.

        Raises:
            S3Error: at the end: InternalError when it is short, InvalidDigest, BadDigest.
        """
        return self._counted(self._request.body.read(size), size)

    def readline(self, size: int, /) -> bytes:
        """At most `size` bytes, up to a line's end; raises as `read` does."""
        return self._counted(self._request.body.readline(size), size)

    def _counted(self, piece: bytes, size: int) -> bytes:
        if self._left is not None:
            self._left -= len(piece)
            if self._declared is not None:
                self._md5.update(piece)
            if not piece and size:
                self._check(self._left)
        return piece

    def _check(self, left: int) -> None:
        if left > 0:
            raise S3Error("InternalError", "unexpected EOF")
        if self._declared is None:
            return
        try:
            expected = base64.b64decode(self._declared, validate=True)
        except binascii.Error:
            expected = b""
        if len(expected) != 16:
            raise S3Error("InvalidDigest")
        if expected != self._md5.digest():
            raise S3Error("BadDigest")

    def pieces(self) -> Iterator[bytes]:
        """The whole body, piece by piece."""
        while piece := self.read(_PIECE):
            yield piece

    def finish(self) -> None:
        """Reads the rest of the body; raises as `read` does."""
        for _ in self.pieces():
            pass

    def document(self) -> io.BytesIO:
        """The body in memory, its first 8 MiB; the rest is read and dropped."""
        kept = io.BytesIO()
        for piece in self.pieces():
            kept.write(piece[: max(_DOCUMENT - kept.tell(), 0)])
        kept.seek(0)
        return kept


def skip_form(request: S3Request) -> None:
    """Drops what Go reads as a form before the handler of a PUT or POST gets the body (FormValue)."""
    kind = request.header("content-type").partition(";")[0].strip().lower()
    left = _FORM if kind == "application/x-www-form-urlencoded" else 0
    while left and (piece := request.body.read(min(left, _PIECE))):
        left -= len(piece)


def with_document(request: S3Request, body: Body) -> S3Request:
    """The request with its body read and checked."""
    return replace(request, body=body.document())
