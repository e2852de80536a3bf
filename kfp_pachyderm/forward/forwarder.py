"""The port-forward: local ports that lead to services of the cluster, for this process and its children."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from contextlib import suppress

from kfp_pachyderm.errors import NotFoundError, PachydermError, PermanentError
from kfp_pachyderm.forward.cluster import Cluster, Port, service_and_namespace
from kfp_pachyderm.forward.tunnel import BrokenTunnelError, ClosedPortError, Tunnel, reset

log = logging.getLogger(__name__)

#: Seconds for which the pod behind a service is remembered.
_POD_KEPT = 2.0
#: Most listeners at once; each job has three.
_MOST = 256
#: Seconds for a step to send its request.
_ASKING = 5.0


class Forwarder:
    """Listens on 127.0.0.1 for services of one namespace; a context manager that closes it.

    Args:
        cluster: the cluster of the services.
        namespace: pachd's namespace; services of other namespaces are refused.

    Attributes:
        variable: the value of KFP_PACHYDERM_FORWARDER, by which child processes find this port-forward.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._key = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._listeners: dict[str, socket.socket] = {}
        self._pods: dict[str, tuple[float, Port]] = {}
        self._tunnels: set[Tunnel] = set()
        self._said: set[str] = set()
        self._closed = False
        self._control = _listen()
        self._start(self._answer_steps)
        self.variable = f"{_address(self._control)}/{self._key}"

    def __enter__(self) -> Forwarder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def probe(self, netloc: str) -> Port:
        """Opens a connection to "service.namespace:port" and closes it.

        Raises:
            PachydermError: the connection can't be opened; the subclass and the message say why.
        """
        port = self._pod(netloc)
        self._cluster.dial(port).close()
        return port

    def local(self, netloc: str) -> str:
        """Returns the local "127.0.0.1:port" that leads to "service.namespace:port", and listens there.

        Raises:
            PermanentError: the service is not in this namespace, or the port-forward has ended.
        """
        _, namespace = service_and_namespace(_split(netloc)[0])
        if namespace != self._namespace:
            raise PermanentError(
                f"{netloc} is not in namespace {self._namespace}, which is the one that is forwarded"
            )
        with self._lock:
            if self._closed:
                raise PermanentError("the port-forward has ended")
            if netloc in self._listeners:
                self._use(netloc)
            else:
                self._make_room()
                self._listeners[netloc] = _listen()
                self._start(self._accept, netloc, self._listeners[netloc])
            return _address(self._listeners[netloc])

    def _use(self, netloc: str) -> None:
        # The dict is ordered by last use. pachd's listener stays first, and is never closed: clients keep its
        # port.
        if netloc in list(self._listeners)[1:]:
            self._listeners[netloc] = self._listeners.pop(netloc)

    def _make_room(self) -> None:
        """Closes the listener that was used longest ago: nobody tells the port-forward when a job ends."""
        if len(self._listeners) >= _MOST:
            _end(self._listeners.pop(list(self._listeners)[1]))

    def close(self) -> None:
        """Ends all listeners and connections."""
        with self._lock:
            self._closed = True
            listeners, tunnels = [self._control, *self._listeners.values()], list(self._tunnels)
        for one in listeners:
            _end(one)
        for tunnel in tunnels:
            tunnel.close()

    @staticmethod
    def _start(target: object, *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, name="port-forward", daemon=True).start()  # type: ignore[arg-type]

    def _answer_steps(self) -> None:
        while (connection := _accepted(self._control)) is not None:
            self._start(self._answer, connection)

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(_ASKING)
            key, _, netloc = connection.makefile().readline().strip().partition(" ")
            if secrets.compare_digest(key.encode(), self._key.encode()):
                connection.sendall(f"{self._said_to(netloc)}\n".encode())

    def _said_to(self, netloc: str) -> str:
        try:
            return self.local(netloc)
        except (PachydermError, ValueError) as error:
            return f"! {error}"

    def _accept(self, netloc: str, listener: socket.socket) -> None:
        while (connection := _accepted(listener)) is not None:
            with self._lock:
                self._use(netloc)
            self._start(self._serve, netloc, connection)

    def _serve(self, netloc: str, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tunnel = Tunnel(connection, self._cluster.dial(self._pod(netloc)))
        except (PachydermError, OSError) as error:
            self._fail(netloc, error)
            reset(connection)
            return
        self._run(netloc, tunnel)

    def _run(self, netloc: str, tunnel: Tunnel) -> None:
        with self._lock:
            self._tunnels.add(tunnel)
            if self._closed:
                tunnel.close()
        try:
            tunnel.run()
        except BrokenTunnelError as error:
            self._fail(netloc, error)
        finally:
            with self._lock:
                self._tunnels.discard(tunnel)

    def _fail(self, netloc: str, error: Exception) -> None:
        with self._lock:
            self._pods.pop(netloc, None)  # The service may have another pod by now.
            quiet = self._closed or str(error) in self._said or _passes(netloc, error)
            self._said.add(str(error))
        # Steps try again by themselves, and log an error when that does not help.
        log.log(logging.DEBUG if quiet else logging.WARNING, "port-forward to %s: %s", netloc, error)

    def _pod(self, netloc: str) -> Port:
        with self._lock:
            until, port = self._pods.get(netloc, (0.0, None))
        if port is None or time.monotonic() >= until:
            port = self._cluster.port(*_split(netloc))
            with self._lock:
                self._pods[netloc] = time.monotonic() + _POD_KEPT, port
        return port


def _passes(netloc: str, error: Exception) -> bool:
    """Returns whether the error is usual while a job starts or ends.

    The holder of a job that starts does not listen yet; the service of a job that has ended is gone.
    """
    gone = isinstance(error, NotFoundError) and netloc.startswith("s3-")
    return gone or isinstance(error, ClosedPortError)


def _listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=128)


def _end(listener: socket.socket) -> None:
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
    listener.close()


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"{host}:{port}"


def _accepted(listener: socket.socket) -> socket.socket | None:
    try:
        return listener.accept()[0]
    except OSError:
        return None  # the listener is closed


def _split(netloc: str) -> tuple[str, int]:
    host, _, port = netloc.rpartition(":")
    return host, int(port)
