"""Where an address inside the cluster is reached from outside: a local port, if a port-forward is there.

The port-forward (kfp_pachyderm/forward) runs in the process that called `local.init`, steps are its children.
A step says "<key> <host>:<port>", and gets one line back: where that is reached, or "! " and why it is not.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from kfp_pachyderm.errors import PachydermUnreachableError

#: "host:port/key" of the port-forward, in the environment of its steps.
VARIABLE = "KFP_PACHYDERM_FORWARDER"
_TIMEOUT = 10.0


def dialled(netloc: str, env: Mapping[str, str] = os.environ) -> str:
    """The local "host:port" that leads to one inside the cluster; "" where there is no port-forward.

    Raises:
        PachydermUnreachableError: the port-forward has ended, or does not lead there.
    """
    forwarder = env.get(VARIABLE)
    return _ask(forwarder, netloc) if forwarder else ""


def reached_url(url: str) -> str:
    """The URL with host and port as they are reached from here."""
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
