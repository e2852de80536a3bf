"""A threaded HTTP server: cheroot, changed so that large objects are fast and slow clients block nobody."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections import Counter
from typing import Any

from cheroot import wsgi
from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.workers.threadpool import ThreadPool

from kfp_pachyderm.s3.http import BACKLOG
from kfp_pachyderm.s3.http.chunked_transfer import TransferReader
from kfp_pachyderm.s3.http.peers import Peers
from kfp_pachyderm.s3.http.streams import makefile
from kfp_pachyderm.s3.http.wsgi import WSGIApplication

log = logging.getLogger(__name__)

_IDLE = 300
#: Seconds within which a request's head must arrive. A client that sends it byte by byte would otherwise keep
#: a thread for ever.
_HEAD = 30.0
_HEADERS = 2**17
#: Threads at first and at most. A client that pauses within a body keeps a thread, and may not continue until
#: another of its requests is answered (a merge of many objects reads them in turns). So many threads are
#: allowed, and made on demand.
_THREADS, MOST_THREADS = 8, 512
#: Seconds after which a thread counts as waiting for its client.
_STALLED = 0.1
#: Seconds that unfinished answers get when the server stops taking requests.
_LAST_WORDS = 5.0

#: The answer of Go's net/http to a request that it can't read. Pachyderm's gateway, which uses it, answers
#: so.
_UNREADABLE = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"400 Bad Request"
)


class _Request(HTTPRequest):
    def parse_request(self) -> None:
        raw = self.conn.rfile.raw
        raw.deadline = time.monotonic() + _HEAD
        try:
            super().parse_request()
        except ValueError:
            # urlsplit raises for some request targets, and cheroot does not catch that
            self.simple_response("400 Bad Request")
        raw.deadline = None
        self.conn.socket.settimeout(_IDLE)

    def send_headers(self) -> None:
        # The application has read the body or given it up. Cheroot would read the rest of it into memory.
        self.rfile = None
        # cheroot ignores the application's "Connection: close"
        self.close_connection |= (b"Connection", b"close") in self.outheaders
        super().send_headers()

    def simple_response(self, status: str, msg: str = "") -> None:
        if status == "400 Bad Request":
            self.close_connection = True
            self.conn.wfile.write(_UNREADABLE)
        else:
            super().simple_response(status, msg)


class _Connection(HTTPConnection):
    RequestHandlerClass = _Request

    def __init__(self, server: Any, sock: socket.socket, _makefile_of_server: Any = None) -> None:
        super().__init__(server, sock, makefile)
        self._closing = threading.Lock()

    def counted(self) -> bool:
        """Counts this connection for its peer. False: the peer has too many."""
        counted = self.server.peers is None or self.server.peers.connect(self.remote_addr)
        if counted:
            self.server.open.add(self)
        return bool(counted)

    def communicate(self) -> bool:
        try:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        finally:
            self.server.requests.done(self)

    def close(self) -> None:
        if not self._closing.acquire(blocking=False):
            return  # the server's end and the connection's own thread may close it at the same time
        if self in self.server.open:
            self.server.open.discard(self)
            if self.server.peers:
                self.server.peers.disconnect(self.remote_addr)
        super().close()

    def stalled(self, since: float) -> bool:
        """Tells whether this connection has been waiting for its client since before the time `since`."""
        began = self.rfile.raw.since or self.wfile.since
        return began is not None and began < since

    def signed(self) -> None:
        """Notes that the peer has sent a correctly signed request."""
        if self.server.peers:
            self.server.requests.begin(self.server.peers.know(self.remote_addr))


class _Gateway(wsgi.Gateway_10):
    version = ("s3", 1)

    def get_environ(self) -> Any:
        environ: Any = super().get_environ()  # type: ignore[no-untyped-call]
        if self.req.chunked_read:
            environ["wsgi.input"] = TransferReader(self.req.conn.rfile)
        # WSGI's names of headers have "_" for both "-" and "_", and signed metadata headers may hold either
        environ["s3.headers"] = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in self.req.inheaders.items()
        }
        environ["s3.signed"] = self.req.conn.signed
        return environ


class _Threads(ThreadPool):
    """A thread pool that grows on demand, and gives each peer only the threads that `Peers` allows."""

    def put(self, conn: Any) -> None:
        peers: Peers | None = self.server.peers
        if peers is None or peers.begin(conn.remote_addr, conn):
            self.begin([conn])

    def begin(self, connections: list[Any]) -> None:
        """Gives each connection a thread."""
        threads: list[Any] = self._threads  # type: ignore[attr-defined]
        for conn in connections:
            self.server.busy.add(conn)
            if self.qsize >= self.idle and len(threads) < self.max:
                threads.append(self._spawn_worker())  # type: ignore[attr-defined]
            super().put(conn)

    def done(self, conn: Any) -> None:
        """Notes that the connection's thread is free again, and begins the work that waited for it."""
        self.server.busy.discard(conn)
        if self.server.peers:
            self.begin(self.server.peers.end(conn.remote_addr))


class _Server(wsgi.Server):
    ConnectionClass = _Connection
    keep_alive_conn_limit = 1000
    max_request_header_size = _HEADERS
    expiration_interval = 0.05
    peers: Peers | None = None
    #: A socket that listens already.
    listener: socket.socket | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.open: set[_Connection] = set()
        self.busy: set[_Connection] = set()

    def bind(self, family: int, kind: int, proto: int = 0) -> socket.socket:
        if self.listener is None:
            return super().bind(family, kind, proto)  # type: ignore[no-any-return]
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as cheroot does
        self.socket, self.bind_addr = self.listener, self.listener.getsockname()
        return self.listener

    def process_conn(self, conn: Any) -> None:
        if conn.last_used is not None:
            super().process_conn(conn)
        elif conn.counted():
            # a new connection takes no thread until its client sends something; cheroot gives it one at once
            self.put_conn(conn)
        else:
            conn.close()

    def watch_stalled(self) -> None:
        """Counts the threads that wait for their clients, several times a second, until the server ends."""
        while self.ready and self.peers:
            time.sleep(_STALLED)
            since = time.monotonic() - _STALLED
            stalled = Counter(conn.remote_addr for conn in list(self.busy) if conn.stalled(since))
            self.requests.begin(self.peers.stalled(stalled))

    def refuse(self) -> None:
        """Stops taking connections and requests, and reads nothing more from clients.

        It returns when the requests that were read in time have been answered, so that a client learns of
        every change that was made, or after `_LAST_WORDS` seconds.
        """
        self.ready = False
        self._connections.stop()  # type: ignore[attr-defined]
        self.socket.close()
        for conn in self.peers.forget_waiting() if self.peers else ():
            conn.close()
        for conn in list(self.open):
            if conn in self.busy:
                _shut(conn.socket, socket.SHUT_RD)
            else:
                conn.close()
        self._wait_for_answers()

    def _wait_for_answers(self) -> None:
        deadline = time.monotonic() + _LAST_WORDS
        while (now := time.monotonic()) < deadline:
            if all(conn.stalled(now - _STALLED) for conn in list(self.busy)):
                return
            time.sleep(0.005)

    def end_threads(self) -> None:
        """Ends the threads, and the connections whose clients do not read their answers; after `refuse`."""
        for conn in list(self.busy):
            _shut(conn.socket, socket.SHUT_RDWR)
        self.requests.stop(_LAST_WORDS)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        # mostly clients that close their connection, which is no error of the server
        log.log(min(level, logging.INFO), "%s", msg.strip(), exc_info=traceback)


def _shut(sock: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(how)


class S3Server:
    """Serves a WSGI application from its own threads until closed.

    Args:
        app: the application.
        port: 0 for any free one.
        host: the IP address to listen on.
        peers: limits what each client address gets; None: no limits.
        listener: a socket that listens already, in place of host and port.

    Attributes:
        port: the port it listens on.

    Raises:
        OSError: the server can't listen on that address.
    """

    def __init__(
        self,
        app: WSGIApplication,
        port: int = 0,
        host: str = "127.0.0.1",
        peers: Peers | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        server = _Server(
            (host, port),
            app,
            server_name="s3",
            timeout=_IDLE,
            shutdown_timeout=1,
            request_queue_size=BACKLOG,
        )
        server.peers, server.listener = peers, listener
        server.gateway = _Gateway
        server.requests = _Threads(server, min=_THREADS, max=MOST_THREADS)
        server.prepare()
        self._server = server
        self.port: int = server.bind_addr[1]
        self._thread = threading.Thread(target=server.serve, name=f"s3-{self.port}", daemon=True)
        self._thread.start()
        if peers:
            threading.Thread(target=server.watch_stalled, name="s3-stalled", daemon=True).start()

    def close(self) -> None:
        """Stops listening and ends the threads."""
        self._server.stop()
        self._thread.join()

    def refuse(self) -> None:
        """Stops: refuses new connections, fails unfinished uploads, and gives answers some seconds to end."""
        self._server.refuse()
        threading.Thread(target=self._server.end_threads, name="s3-end", daemon=True).start()

    def __enter__(self) -> S3Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
