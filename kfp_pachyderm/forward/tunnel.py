"""Forwards one connection through the Kubernetes API, between a local socket and a pod's websocket."""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from websocket import ABNF, WebSocket

#: Bytes that are read at once, and bytes that are buffered for a side which does not read them.
_PIECE, _KEPT = 64 * 1024, 1024 * 1024
#: Seconds that the tunnel stays open after the client has closed its half of the connection and the pod has
#: sent nothing. The protocol has no frame that tells the pod about a half that is closed.
_LINGER = 10.0
_DATA, _ERROR = 0, 1
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class BrokenTunnelError(Exception):
    """The connection to the pod broke; the message holds the cluster's text."""


class ClosedPortError(BrokenTunnelError):
    """The pod runs, and no process listens at its port."""


class Tunnel:
    """Forwards bytes in both directions, in one thread and with bounded buffers.

    One thread, because two threads must not use a TLS connection at once.

    Args:
        client: the local socket.
        pod: the websocket, which speaks v4.channel.k8s.io for one port.
    """

    def __init__(self, client: socket.socket, pod: WebSocket) -> None:
        self._client, self._pod = client, pod
        self._raw: socket.socket = pod.sock
        self._to_pod, self._to_client = bytearray(), bytearray()
        self._client_ended = self._pod_ended = self._closing = False
        #: Channels whose first frame has been read; it holds the port's number.
        self._begun: set[int] = set()
        self._heard = time.monotonic()

    def run(self) -> None:
        """Forwards until one side has ended, then closes both.

        Raises:
            BrokenTunnelError: the connection broke before one side ended it; the client's socket is reset.
        """
        try:
            self._client.setblocking(False)
            self._raw.setblocking(False)
            self._forward()
        except BrokenTunnelError:
            reset(self._client)
            raise
        finally:
            self._client.close()
            self._raw.close()

    def close(self) -> None:
        """Makes `run` end; called from another thread."""
        self._closing = True
        for one in (self._client, self._raw):
            with suppress(OSError):  # the socket is closed already
                # SSLSocket.shutdown would change TLS state that the other thread may be using.
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def _forward(self) -> None:
        with selectors.DefaultSelector() as selector:
            while not self._is_over():
                moved = [self._from_pod(), self._from_client(), self._flush_pod(), self._flush_client()]
                if not any(moved):
                    self._wait(selector)

    def _is_over(self) -> bool:
        silent = self._client_ended and time.monotonic() - self._heard > _LINGER
        return self._closing or silent or (self._pod_ended and not self._to_client)

    def _wait(self, selector: selectors.BaseSelector) -> None:
        read, write = selectors.EVENT_READ, selectors.EVENT_WRITE
        wanted = {
            self._raw: (0 if self._pod_ended or self._is_full(self._to_client) else read)
            | (write if self._to_pod else 0),
            self._client: (0 if self._client_ended or self._is_full(self._to_pod) else read)
            | (write if self._to_client else 0),
        }
        for one, events in wanted.items():
            if events:
                selector.register(one, events)
        selector.select(_LINGER if self._client_ended else None)
        for one, events in wanted.items():
            if events:
                selector.unregister(one)

    @staticmethod
    def _is_full(kept: bytearray) -> bool:
        return len(kept) >= _KEPT

    def _from_client(self) -> bool:
        if self._client_ended or self._pod_ended or self._is_full(self._to_pod):
            return False
        try:
            data = self._client.recv(_PIECE)
        except _NOT_NOW:
            return False
        except OSError:
            self._closing = True  # the client has reset the connection
            return True
        if data:
            self._queue(bytes([_DATA]) + data)
        else:
            self._client_ended, self._heard = True, time.monotonic()
        return True

    def _queue(self, payload: bytes, kind: int | None = None) -> None:
        from websocket import ABNF

        self._to_pod += ABNF.create_frame(payload, ABNF.OPCODE_BINARY if kind is None else kind).format()

    def _from_pod(self) -> bool:
        from websocket import WebSocketException

        if self._pod_ended or self._is_full(self._to_client):
            return False
        try:
            frame = self._pod.recv_frame()
        except _NOT_NOW:
            return False
        except (OSError, WebSocketException) as error:
            raise BrokenTunnelError(f"the connection to Kubernetes broke: {error}") from error
        self._heard = time.monotonic()
        self._take(frame)
        return True

    def _take(self, frame: ABNF) -> None:
        if frame.opcode == frame.OPCODE_CLOSE:
            self._pod_ended = True
        elif frame.opcode == frame.OPCODE_PING:
            self._queue(frame.data, frame.OPCODE_PONG)
        elif frame.opcode in (frame.OPCODE_BINARY, frame.OPCODE_CONT) and frame.data:
            self._take_data(frame.data[0], frame.data[1:])

    def _take_data(self, channel: int, data: bytes) -> None:
        if channel not in self._begun:
            self._begun.add(channel)
        elif channel == _ERROR:
            raise ClosedPortError(data.decode(errors="replace").strip())
        elif channel == _DATA:
            self._to_client += data

    def _flush_pod(self) -> bool:
        try:
            return _send(self._raw, self._to_pod)
        except OSError as error:
            raise BrokenTunnelError(f"the connection to Kubernetes broke: {error}") from error

    def _flush_client(self) -> bool:
        try:
            return _send(self._client, self._to_client)
        except OSError:
            self._closing = True
            return True


def _send(to: socket.socket, kept: bytearray) -> bool:
    """Sends as much as the socket takes now; returns whether it took any."""
    if not kept:
        return False
    try:
        sent = to.send(kept)
    except _NOT_NOW:
        return False
    del kept[:sent]
    return bool(sent)


def reset(client: socket.socket) -> None:
    """Closes a connection with a TCP reset, so that the client does not take the answer for a whole one."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
