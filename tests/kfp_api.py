"""The part of KFP's API server that `kfp.Client` calls: experiments, pipelines with versions, runs, by HTTP.

Follows the protocol of KFP 2.17: backend/api/v2beta1/*.proto through grpc-gateway (names in snake_case, empty
fields left out: backend/src/apiserver/common/utils.go, CustomMarshaler). It runs nothing: a run stays PENDING
until somebody sets its state.

    with KfpApi() as api:
        client = kfp.Client(host=api.url)
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kfp_store import CODES, KfpStore, Refused
from tests.waiting import PATIENCE, wait_for

Hook = Callable[[dict[str, Any]], None]


class HangUp(Exception):
    """A hook raises it to close the connection without an answer."""


class KfpApi:
    """A server on a free port of 127.0.0.1; a context manager.

    Args:
        token: the token that clients must send; "": none.
        multi_user: whether healthz reports multi-user mode.

    Attributes:
        url: its address.
        store: its runs, experiments and pipelines.
        before_create: called with a valid run before it is made.
        after_create: called with a run that was made, before the client is answered. Both may wait, and raise
            `Refused` or `HangUp`.
        requests: method and path of all requests, in the order of their arrival.
    """

    def __init__(self, token: str = "", multi_user: bool = False) -> None:
        self.token, self.multi_user = token, multi_user
        self.store = KfpStore()
        self.before_create: Hook | None = None
        self.after_create: Hook | None = None
        self.requests: list[tuple[str, str]] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def runs(self) -> list[dict[str, Any]]:
        """All runs, in the order in which they were made."""
        return list(self.store.runs.values())

    def wait_until_quiet(self) -> None:
        """Waits until all requests of clients that have ended are done."""
        # connections are accepted in order, so earlier ones have been accepted before this one
        with socket.create_connection(("127.0.0.1", self._server.server_port), PATIENCE) as last:
            last.sendall(b"GET /apis/v2beta1/healthz HTTP/1.0\r\n\r\n")
            while last.recv(2**16):
                pass
        wait_for(lambda: self._server.open == 0, "the end of all connections")

    def __enter__(self) -> KfpApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    api: KfpApi

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.open, self._counting = 0, threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._counting:
            self.open += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._counting:
            self.open -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that have closed their connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the tests' output."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_DELETE = do_GET

    def _answer(self) -> None:
        api, where = self.server.api, urlsplit(self.path)
        api.requests.append((self.command, where.path))
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if len(body) < size:
            return  # the client was killed in the middle
        try:
            found = self._found(api, where.path, {k: v[0] for k, v in parse_qs(where.query).items()}, body)
            status, answer = 200, found
        except Refused as refused:
            status = CODES[refused.code]
            answer = {"error": str(refused), "code": refused.code, "message": str(refused), "details": []}
        except HangUp:
            self.close_connection = True
            return
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _found(self, api: KfpApi, path: str, query: dict[str, str], body: bytes) -> Any:
        if path.endswith("/healthz"):
            return {"multi_user": api.multi_user} if api.multi_user else {}
        if api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
            raise Refused(16, "Request header error: there is no user identity header.")
        prefix, _, rest = path.partition("/apis/v2beta1/")
        names = rest.split("/")
        if prefix or not rest:
            raise Refused(5, "Not Found")
        if names[0] == "pipelines":
            return self._pipelines(api, names, query, body)
        if names[0] in ("runs", "experiments"):
            return self._runs(api, names, query, body)
        raise Refused(5, "Not Found")

    def _runs(self, api: KfpApi, names: list[str], query: dict[str, str], body: bytes) -> Any:
        store, (kind, *ids) = api.store, names
        if not ids and self.command == "GET":
            return store.listed(kind, query)
        if not ids:
            return self._made(api, kind, json.loads(body))
        name, _, verb = ids[0].partition(":")
        if self.command == "DELETE":
            return store.delete(kind, name)
        return store.changed(kind, name, verb) if verb else store.one(kind, name)

    def _made(self, api: KfpApi, kind: str, given: dict[str, Any]) -> Any:
        if kind == "experiments":
            return api.store.new_experiment(given)
        run = api.store.checked_run(given)
        if api.before_create:
            api.before_create(run)
        api.store.keep_run(run)
        if api.after_create:
            api.after_create(run)
        return run

    def _pipelines(self, api: KfpApi, names: list[str], query: dict[str, str], body: bytes) -> Any:
        store, ids = api.store, names[1:]
        if ids == ["upload"]:
            return store.new_pipeline(query["name"], self._uploaded(body), query)
        if ids == ["upload_version"]:
            return store.new_version(query["pipelineid"], query["name"], self._uploaded(body))
        if not ids:
            return store.listed("pipelines", query)
        if ids[1:] == ["versions"]:
            return store.listed("pipeline_versions", query, pipeline_id=ids[0])
        if ids[1:2] == ["versions"]:
            return store.one("pipeline_versions", ids[2])
        return store.one("pipelines", ids[0])

    def _uploaded(self, body: bytes) -> str:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + body).get_payload()
        return str(next(one.get_payload(decode=True).decode() for one in _parts(parts)))


def _parts(found: Any) -> Iterator[Any]:
    return (one for one in found if one.get_param("name", header="content-disposition") == "uploadfile")
