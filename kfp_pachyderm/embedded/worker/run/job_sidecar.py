"""The sidecar of a job's run, and the ports that user code learns."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from kfp_pachyderm.embedded.sidecar import Sidecar
from kfp_pachyderm.embedded.worker.environment import Ports


class JobSidecar:
    """A run's sidecar, opened when it is needed first.

    Args:
        make: opens it.
        host: the IPv4 address that user code and sidecar listen on.
    """

    def __init__(self, make: Callable[[], Sidecar], host: str) -> None:
        self._make, self._host = make, host
        self._sidecar: Sidecar | None = None

    def open(self) -> Sidecar:
        """The sidecar."""
        if self._sidecar is None:
            self._sidecar = self._make()
        return self._sidecar

    def ports(self) -> Ports:
        """The sidecar's ports, and a free one for user code."""
        sidecar = self.open()
        return Ports(self._host, _free_port(self._host), sidecar.s3_port, sidecar.grpc_port)

    def kill(self, seconds: float) -> None:
        """Acts as if its container were killed, and back after `seconds`; from any thread."""
        if self._sidecar is not None:
            threading.Thread(target=self._sidecar.kill, args=(seconds,), daemon=True).start()

    def close(self) -> None:
        """Closes the sidecar, if it was opened."""
        if self._sidecar is not None:
            # Nothing waits for this sidecar to close: the next job has its own.
            threading.Thread(target=self._sidecar.close, name="sidecar-close", daemon=True).start()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port
