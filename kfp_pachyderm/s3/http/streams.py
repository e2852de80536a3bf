"""What is read from a connection and written to it, as cheroot takes it, and since when either waits."""

from __future__ import annotations

import io
import socket
import time
from typing import Any

#: Each connection keeps one; large reads go past it.
_READ_BUFFER = 2**16


class Writer:
    """What cheroot needs of a socket's file; its own copies every answer several times in Python."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.bytes_written = 0
        self.closed = False
        #: When a write began that is under way.
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
    """Reads from the socket until a deadline, whatever comes in little by little."""

    deadline: float | None = None
    asleep = False
    #: When a read began that is under way.
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
    """What cheroot needs of it; its own is written in Python, and copies large bodies several times."""

    raw: Raw
    bytes_read = 0

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(Raw(sock, "rb"), _READ_BUFFER)

    def has_data(self) -> bool:
        """Whether there is something to read without waiting for the client."""
        self.raw.asleep = True
        try:
            return bool(self.peek(1))
        finally:
            self.raw.asleep = False


def makefile(sock: socket.socket, mode: str, _bufsize: int) -> Any:
    """The socket's file for that mode, as cheroot asks for it."""
    return Reader(sock) if "r" in mode else Writer(sock)
