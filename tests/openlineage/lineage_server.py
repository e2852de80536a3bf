"""A server that takes OpenLineage events by HTTP, and answers as it is told, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class LineageServer:
    """What it was sent, and how it answers.

    Args:
        answer: HTTP status of every answer.
        answers: whether it answers at all; set it to let requests go that it holds.
        events: the events, in the order in which they came.
        keys: the requests' Authorization headers.
        url: where it is.
    """

    answer: int = 201
    answers: threading.Event = field(default_factory=threading.Event)
    events: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""

    def types(self) -> list[str]:
        return [one["eventType"] for one in self.events]


@contextmanager
def lineage_server(answer: int = 201, hangs: bool = False) -> Iterator[LineageServer]:
    server = LineageServer(answer)
    if not hangs:
        server.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.keys.append(self.headers["Authorization"])
            server.events.append(json.loads(body))
            server.answers.wait()
            self.send_response(server.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # the sender is gone
                super().handle()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.answers.set()
            http.shutdown()
            thread.join()
