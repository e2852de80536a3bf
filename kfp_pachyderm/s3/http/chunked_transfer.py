"""Reads bodies with Transfer-Encoding: chunked. Cheroot's own reader takes a whole chunk into memory."""

from __future__ import annotations

import re
from collections.abc import Callable

from kfp_pachyderm.s3.errors import S3Error
from kfp_pachyderm.s3.request import Source

_LONGEST_LINE = 4096
_MOST_TRAILERS = 32
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")


class TransferReader:
    """The content of a body that was sent with Transfer-Encoding: chunked.

    Args:
        source: the connection.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self._started = self._done = self._broken = False

    def read(self, size: int, /) -> bytes:
        """Returns `size` bytes, fewer only at the end.

        Raises:
            S3Error: IncompleteBody or InvalidRequest. After an error every call raises one.
        """
        return self._collect(self._source.read, size, b"")

    def readline(self, size: int, /) -> bytes:
        """Returns at most `size` bytes, up to the end of a line; raises as `read` does."""
        return self._collect(self._source.readline, size, b"\n")

    def _collect(self, take: Callable[[int], bytes], size: int, end: bytes) -> bytes:
        pieces: list[bytes] = []
        while size > 0 and self._more():
            piece = take(min(size, self._left))
            if not piece:
                raise self._failure("IncompleteBody")
            self._left -= len(piece)
            size -= len(piece)
            pieces.append(piece)
            if end and piece.endswith(end):
                break
        return b"".join(pieces)

    def _more(self) -> bool:
        if self._broken:
            raise S3Error("IncompleteBody")
        if not self._left and not self._done:
            self._next_chunk()
        return not self._done

    def _next_chunk(self) -> None:
        if self._started and self._line() != b"\r\n":
            raise self._failure("InvalidRequest", "a chunk of the transfer is longer than it says")
        self._started = True
        found = _CHUNK.fullmatch(self._line())
        if not found:
            raise self._failure("InvalidRequest", "a chunk's header of the transfer can't be read")
        self._left = int(found[1], 16)
        if not self._left:
            self._skip_trailers()
            self._done = True

    def _skip_trailers(self) -> None:
        for _ in range(_MOST_TRAILERS):
            if self._line() == b"\r\n":
                return
        raise self._failure("InvalidRequest", "the transfer has too many trailers")

    def _line(self) -> bytes:
        line = self._source.readline(_LONGEST_LINE)
        if not line.endswith(b"\r\n"):
            raise self._failure("IncompleteBody")
        return line

    def _failure(self, code: str, message: str | None = None) -> S3Error:
        self._broken = True
        return S3Error(code, message)
