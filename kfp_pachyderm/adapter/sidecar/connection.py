"""Which way to the job's commits is open: the sidecar's gRPC, pachd's, or the sidecar's S3."""

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
    """Whether somebody listens at the address."""
    _, host, port = split(address)
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


class Sidecar:
    """The connection in use, opened when first asked for, replaced when the job moves to another sidecar.

    Args:
        config: the step's addresses and token.
    """

    def __init__(self, config: AdapterConfig) -> None:
        self._config = config
        self._sidecar, self._sidecar_s3 = config.sidecar, config.sidecar_s3
        self._lock = threading.Lock()
        self._remote: Remote | None = None
        #: Knows what it has confirmed, which would take a second and more for each object again.
        self._by_s3: S3Remote | None = None

    def remote(self) -> Remote:
        """The connection."""
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
        # its errors say what is wrong, and it may come back
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
        """The connection failed: the next one takes the way that is open then."""
        with self._lock:
            if self._remote is remote:
                self._remote = None

    def move(self, sidecar: str, sidecar_s3: str) -> None:
        """From now on another sidecar is asked; reads that are under way end where they are."""
        with self._lock:
            self._sidecar, self._sidecar_s3 = sidecar, sidecar_s3
        self.renew()

    def renew(self) -> None:
        """The output commit has been emptied: what a connection knows of it counts no more."""
        with self._lock:
            self._remote = self._by_s3 = None
