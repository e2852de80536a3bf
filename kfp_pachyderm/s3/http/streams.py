"""Readers and writers of sockets for cheroot, which know since when they wait for the client."""

from __future__ import annotations

import io
import socket
import time
from typing import Any

#: Bytes of each connection's read buffer. Larger reads do not use it.
_READ_BUFFER = 2**16


class Writer:
    """Writes to a socket, with the interface that cheroot needs. Cheroot's own class copies every answer."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.bytes_written = 0
        self.closed = False
        #: `time.monotonic()` when the current write began; None: nothing is being written.
        self.since: float | None = None

    def write(self, data: bytes) -> int:
        self.since = time.monotonic()
        self._sock.sendall(data)
        self.since = None
        self.bytes_written += len(data)
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True


class Raw(socket.SocketIO):
    """Reads from a socket up to a deadline (`time.monotonic()`), which holds for all reads together."""

    deadline: float | None = None
    asleep = False
    #: `time.monotonic()` when the current read began; None: nothing is being read.
    since: float | None = None

    def readinto(self, buffer: Any) -> int | None:
        if self.asleep:
            return None
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            self._sock.settimeout(max(left, 0.001))  # type: ignore[attr-defined]
        self.since = time.monotonic()
        read = super().readinto(buffer)
        self.since = None
        return read


class Reader(io.BufferedReader):
    """Reads from a socket, with the interface that cheroot needs. Cheroot's own class copies large bodies."""

    raw: Raw
    bytes_read = 0

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(Raw(sock, "rb"), _READ_BUFFER)

    def has_data(self) -> bool:
        """Tells whether the buffer holds bytes, which can be read without waiting for the client."""
        self.raw.asleep = True
        try:
            return bool(self.peek(1))
        finally:
            self.raw.asleep = False


def makefile(sock: socket.socket, mode: str, _bufsize: int) -> Any:
    """Makes the reader or the writer of a socket; cheroot calls it in the place of its own function."""
    return Reader(sock) if "r" in mode else Writer(sock)
