"""The network between two parts of a step, which a test can cut, watch and mend."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Link:
    """All connections from one part to another. While it is cut nothing passes: packets are dropped."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._routes: dict[str, str] = {}
        self._listeners: list[socket.socket] = []
        self._connected: list[socket.socket] = []
        self._lock = threading.Lock()
        self._watches: list[tuple[Callable[[bytes, int], bool], Callable[[], None]]] = []
        self._sent = 0

    def route(self, target: str) -> str:
        """An address that leads to the target, both "host:port"."""
        with self._lock:
            if target not in self._routes:
                listener = socket.create_server(("127.0.0.1", 0))
                self._listeners.append(listener)
                self._routes[target] = f"127.0.0.1:{listener.getsockname()[1]}"
                threading.Thread(target=self._accept, args=(listener, target), daemon=True).start()
            return self._routes[target]

    def cut(self, seconds: float | None) -> None:
        """Cuts all connections, also those to come; None: for ever, and new ones are refused."""
        self._open.clear()
        if seconds is None:
            self._stop_listening()
        else:
            timer = threading.Timer(seconds, self.mend)
            timer.daemon = True
            timer.start()

    def mend(self) -> None:
        """Lets everything pass that has waited."""
        self._open.set()

    def when(self, condition: Callable[[bytes, int], bool], act: Callable[[], None]) -> None:
        """Acts once, before data goes on of which the condition holds: the data, and the bytes before it."""
        self._watches.append((condition, act))

    def close(self) -> None:
        """Listens no more, and ends what is connected."""
        self._stop_listening()
        for one in self._connected:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.set()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket, target: str) -> None:
        host, _, port = target.rpartition(":")
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near, host, int(port)), daemon=True).start()

    def _connect(self, near: socket.socket, host: str, port: int) -> None:
        with near, contextlib.suppress(OSError):
            self._open.wait()
            with socket.create_connection((host, port)) as far:
                with self._lock:
                    self._connected += (near, far)
                down = threading.Thread(target=self._pass, args=(far, near, False), daemon=True)
                down.start()
                self._pass(near, far, True)
                down.join()

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if up:
                    self._look(data)
                self._open.wait()
                target.sendall(data)
        self._open.wait()
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _look(self, data: bytes) -> None:
        with self._lock:
            due = [watch for watch in self._watches if watch[0](data, self._sent)]
            self._watches = [watch for watch in self._watches if watch not in due]
            self._sent += len(data)
        for _, act in due:
            act()
