"""The launcher's end of the holder protocol: one small HTTP request per call."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kfp_pachyderm.errors import (
    AttachError,
    AuthenticationError,
    HolderReplacedError,
    LeaseLostError,
    PachydermError,
    ProtocolError,
)

VERSION = 1

#: The error for each HTTP status of the holder.
BY_STATUS: dict[int, type[PachydermError]] = {
    400: ProtocolError,
    401: AuthenticationError,
    403: ProtocolError,
    404: ProtocolError,
    409: AttachError,
    410: LeaseLostError,
    412: HolderReplacedError,
    421: AttachError,
}


@dataclass(frozen=True)
class HolderStatus:
    """A holder's answer to `GET /v1/status`.

    Args:
        job: the Pachyderm job that it belongs to.
        datum: the datum's ID.
        files: input → path of the datum's file or folder below /pfs.
        instance: new for every holder process.
        state: "waiting", "attached" or "finished".
        clock: seconds on the holder's own clock.
        lease: seconds until the lease ends; None before an attach.
    """

    job: str
    datum: str
    files: dict[str, str]
    instance: str
    state: str
    clock: float
    lease: float | None


class HolderClient:
    """Calls one holder.

    Args:
        url: "http://host:port".
        token: the job's token.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self._host, self._port = parts.hostname or "", parts.port or 8080
        self._key = token.encode()
        self._peer: Any = None
        self._offset = self._stamp = 0.0

    def status(self, timeout: float) -> HolderStatus:
        """Asks the holder for its status; its clock stamps the signed calls that follow."""
        answer = self._ask(f"GET /v1/status HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode(), timeout)
        if answer.pop("version", None) != VERSION:
            raise ProtocolError(f"the holder at {self.url} does not speak version {VERSION}: {answer}")
        self._offset = answer["clock"] - time.monotonic()
        return HolderStatus(**answer)

    def post(self, action: str, call: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Makes one signed call.

        Raises:
            AttachError: nobody answers, or another session or job is there.
            LeaseLostError: the holder has ended.
            HolderReplacedError: another holder process answers.
        """
        return self._ask(self._request(f"/v1/{action}", json.dumps(call).encode()), timeout)

    def _request(self, path: str, body: bytes) -> bytes:
        self._stamp = max(self._stamp + 1e-6, time.monotonic() + self._offset)
        stamp = f"{self._stamp:.6f}"
        signed = b"\n".join([b"POST", path.encode(), stamp.encode(), body])
        digest = hmac.new(self._key, signed, hashlib.sha256).hexdigest()
        lines = (
            f"POST {path} HTTP/1.1",
            f"Host: {self._host}",
            f"Content-Length: {len(body)}",
            f"X-KFP-Pachyderm-Timestamp: {stamp}",
            f"Authorization: KFP-Pachyderm {digest}",
        )
        return "\r\n".join((*lines, "", "")).encode() + body

    def _ask(self, request: bytes, timeout: float) -> dict[str, Any]:
        try:
            status, answer = self._exchange(request, timeout)
        except (OSError, ValueError, IndexError) as error:
            raise AttachError(f"the holder at {self.url} does not answer: {error}") from error
        if status != 200:
            kind = BY_STATUS.get(status, ProtocolError)
            raise kind(f"the holder at {self.url} refuses ({status}): {answer.get('error')}")
        return answer

    def _exchange(self, request: bytes, timeout: float) -> tuple[int, dict[str, Any]]:
        # The address is kept, also after a failure: a call in a signal handler has no time for DNS. Another
        # address would be another holder's, for which the session has another client.
        until = time.monotonic() + timeout
        if self._peer is None:
            self._peer = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
        family, kind, protocol, _, address = self._peer
        with socket.socket(family, kind, protocol) as connection:

            def limit() -> None:
                connection.settimeout(max(until - time.monotonic(), 0.001))

            limit()
            connection.connect(address)
            limit()
            connection.sendall(request)
            limit()
            data = b""
            while piece := connection.recv(65536):
                data += piece
                limit()
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), json.loads(body)
