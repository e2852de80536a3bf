"""The least that a server can do: `python -m benchmarks.floor` forgets uploads and answers zeros.

It speaks just enough HTTP for benchmarks/embedded.py: what a client needs for the same requests when the
server costs nothing.
"""

from __future__ import annotations

import socket

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


def _serve(sock: socket.socket) -> None:
    pending = b""
    while True:
        head, pending = _head(sock, pending)
        if not head:
            return
        if head.startswith(b"PUT"):
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            _take(sock, length - len(pending))
            pending = b""
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            # the object's name ends with its size
            _give(sock, int(head.split()[1].rpartition(b"-")[2]))


def main() -> None:
    """Prints its port and serves one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            sock, _ = server.accept()
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _serve(sock)


if __name__ == "__main__":
    main()
