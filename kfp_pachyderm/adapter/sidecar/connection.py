"""Chooses the way to the job's commits: the sidecar's gRPC, else pachd's gRPC, else the sidecar's S3."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING

from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.sidecar.encoded_names import Renamed
from kfp_pachyderm.adapter.sidecar.over_grpc import Pfs, split
from kfp_pachyderm.adapter.sidecar.remote import Remote

if TYPE_CHECKING:
    from kfp_pachyderm.adapter.sidecar.over_s3 import S3Remote

log = logging.getLogger(__name__)

_CONNECT = 3.0


def answers(address: str, timeout: float = _CONNECT) -> bool:
    """Tells whether a TCP connection to the address can be made within `timeout` seconds."""
    _, host, port = split(address)
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


class Sidecar:
    """Holds the current connection to the job's commits.

    It connects when the connection is first needed, and again when the job moves to another sidecar.

    Args:
        config: the step's addresses and token.
    """

    def __init__(self, config: AdapterConfig) -> None:
        self._config = config
        self._sidecar, self._sidecar_s3 = config.sidecar, config.sidecar_s3
        self._lock = threading.Lock()
        self._remote: Remote | None = None
        #: Kept after `forget`: it knows which objects it has stored, and each PUT takes a second and more.
        self._by_s3: S3Remote | None = None

    def remote(self) -> Remote:
        """Returns the current connection; connects if there is none."""
        with self._lock:
            if self._remote is None:
                self._remote = self._seen(self._connect())
            return self._remote

    def _seen(self, remote: Remote) -> Remote:
        commits = self._config.encodes()
        return Renamed(remote, commits) if commits else remote

    def _connect(self) -> Remote:
        pachd = self._config.pachd
        if answers(self._sidecar):
            return self._pfs(self._sidecar)
        if pachd and answers(pachd):
            return self._pfs(pachd, self._config.authority)
        if self._sidecar_s3 and answers(self._sidecar_s3):
            return self._s3()
        # no way is open: calls to the sidecar fail with a message for the user, and it may come back
        return self._pfs(self._sidecar)

    def _pfs(self, address: str, authority: str = "") -> Pfs:
        return Pfs(address, self._config.token, authority, contents=self._config.verify == "content")

    def _s3(self) -> Remote:
        if self._by_s3:
            return self._by_s3
        from kfp_pachyderm.adapter.sidecar.over_s3 import S3Remote

        log.warning(
            "neither the job's sidecar %s nor pachd %s can be reached: using the sidecar's S3 at %s, correct "
            "but slow, a second and more for each object; open the worker's port 1653 to this step",
            self._sidecar,
            self._config.pachd,
            self._sidecar_s3,
        )
        self._by_s3 = S3Remote(self._sidecar_s3, self._config)
        return self._by_s3

    def forget(self, remote: Remote) -> None:
        """Drops a connection that failed. The next `remote` chooses the way again."""
        with self._lock:
            if self._remote is remote:
                self._remote = None

    def move(self, sidecar: str, sidecar_s3: str) -> None:
        """Uses another sidecar from now on. Reads that are under way keep the old connection."""
        with self._lock:
            self._sidecar, self._sidecar_s3 = sidecar, sidecar_s3
        self.renew()

    def renew(self) -> None:
        """Drops all connections and what they know of the output commit, because it has been emptied."""
        with self._lock:
            self._remote = self._by_s3 = None
