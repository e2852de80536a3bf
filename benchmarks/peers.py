"""Other S3 servers on this machine: yardsticks."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_DEADLINE = 60.0
#: A venv of its own (`make bench` makes it): ministack pins another botocore than awscli does.
_MINISTACK = Path(sys.prefix) / "ministack" / "bin" / "ministack"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _await(port: int) -> None:
    deadline = time.monotonic() + _DEADLINE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def _running(
    command: list[str], port: int, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[str, int]]:
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as server:
        try:
            _await(port)
            yield f"http://127.0.0.1:{port}", server.pid
        finally:
            server.kill()


@contextlib.contextmanager
def moto() -> Iterator[tuple[str, int]]:
    """moto's server: endpoint and process ID."""
    port = _free_port()
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port) as found:
        yield found


@contextlib.contextmanager
def ministack() -> Iterator[tuple[str, int]]:
    """ministack with S3 alone: endpoint and process ID."""
    port = _free_port()
    # by default it listens on all addresses and on ports for MQTT and SFTP, and removes Docker containers
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",
        "LOG_LEVEL": "ERROR",
    }
    with _running([str(_MINISTACK)], port, {**os.environ, **settings}) as found:
        yield found
