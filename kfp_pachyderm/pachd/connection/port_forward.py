"""Asks the port-forward, if there is one, by which local port an address inside the cluster is reached.

The port-forward (kfp_pachyderm/forward) runs in the process that called `local.init`; steps are its child
processes. A step sends a line "<key> <host>:<port>" and gets a line back: the local "host:port", or "! " and
the reason why there is none.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from kfp_pachyderm.errors import PachydermUnreachableError

#: The environment variable in which steps find the port-forward: "host:port/key".
VARIABLE = "KFP_PACHYDERM_FORWARDER"
_TIMEOUT = 10.0


def dialled(netloc: str, env: Mapping[str, str] = os.environ) -> str:
    """Returns the local "host:port" that leads to `netloc` inside the cluster; "" without a port-forward.

    Raises:
        PachydermUnreachableError: the port-forward has ended, or does not lead to that address.
    """
    forwarder = env.get(VARIABLE)
    return _ask(forwarder, netloc) if forwarder else ""


def reached_url(url: str) -> str:
    """Returns the URL with the host and port by which this process reaches it."""
    parts = urlsplit(url)
    return parts._replace(netloc=dialled(parts.netloc) or parts.netloc).geturl()


def _ask(forwarder: str, netloc: str) -> str:
    where, _, key = forwarder.partition("/")
    host, _, port = where.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _TIMEOUT) as connection:
            connection.sendall(f"{key} {netloc}\n".encode())
            answer = connection.makefile().readline().strip()
    except (OSError, ValueError) as error:
        raise PachydermUnreachableError(
            f"{netloc}: the port-forward of local.init(port_forward=True) has ended ({error}); call it again"
        ) from error
    if not answer or answer.startswith("!"):
        raise PachydermUnreachableError(f"{netloc}: {answer.lstrip('! ') or 'the port-forward refuses'}")
    return answer
