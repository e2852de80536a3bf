"""A server that does as little as possible: `python -m benchmarks.floor [size]`.

It drops uploads and answers downloads with zeros: a measurement against it shows the client's own time.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator

PIECE = bytes(2**20)


def _head(sock: socket.socket, pending: bytes) -> tuple[bytes, bytes]:
    while b"\r\n\r\n" not in pending:
        data = sock.recv(2**16)
        if not data:
            return b"", b""
        pending += data
    head, _, rest = pending.partition(b"\r\n\r\n")
    return head, rest


def _take(sock: socket.socket, left: int) -> None:
    buffer = bytearray(2**18)
    while left > 0:
        left -= sock.recv_into(buffer, min(left, len(buffer)))


def _give(sock: socket.socket, size: int) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    for start in range(0, size, len(PIECE)):
        sock.sendall(PIECE[: size - start])


def _size(target: bytes, default: int) -> int:
    """The size at the end of the object's name, or the default."""
    size = target.rpartition(b"-")[2]
    return int(size) if size.isdigit() else default


def _serve(sock: socket.socket, default: int) -> None:
    pending = b""
    while True:
        head, pending = _head(sock, pending)
        if not head:
            return
        if head.startswith(b"PUT"):
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            if b"100-continue" in head.lower():
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            _take(sock, length - len(pending))
            pending = b""
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            _give(sock, _size(head.split()[1], default))


@contextlib.contextmanager
def running(size: int = 0) -> Iterator[str]:
    """Its endpoint, in a process of its own.

    Args:
        size: of an object whose name says nothing of it, in bytes.
    """
    command = [sys.executable, "-m", "benchmarks.floor", str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def main(size: int) -> None:
    """Prints its port and serves one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            sock, _ = server.accept()
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _serve(sock, size)


if __name__ == "__main__":
    main(int(sys.argv[1]))
