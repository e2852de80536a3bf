"""Finds the IP address by which other pods reach this one.

KFP tells a step its pod's name and UID, not the address (KFP backend/src/v2/compiler/argocompiler/common.go).
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

from kfp_pachyderm.errors import PermanentError


def own_address(host: str, port: int) -> str:
    """Returns the address from which this host would talk to another one, else an address of its own name.

    Nothing is sent: connecting a UDP socket only asks the kernel for the route.

    Args:
        host: the other host, a name or an IP address: pachd's, as the route to the workers of its cluster is
            the same.
        port: any port.

    Returns:
        An IPv4 or IPv6 address; a loopback address where `host` is this very host.

    Raises:
        PermanentError: neither way leads to an address.
    """
    for found in (*_routed(host, port), *_named(socket.gethostname())):
        return found
    raise PermanentError(
        f"share=True needs this pod's own IP address: there is no route to {host}, and the host's name "
        f"{socket.gethostname()!r} means no address"
    )


def _routed(host: str, port: int) -> Iterator[str]:
    for family, address in _resolved(host, port):
        with socket.socket(family, socket.SOCK_DGRAM) as asking, contextlib.suppress(OSError):
            asking.connect(address)
            yield from _usable(asking.getsockname()[0])


def _named(name: str) -> Iterator[str]:
    every = [found for _, address in _resolved(name, 0) for found in _usable(address[0])]
    # Debian's /etc/hosts names 127.0.1.1 first for the host's own name
    return iter(sorted(every, key=lambda one: ipaddress.ip_address(one).is_loopback))


def _resolved(host: str, port: int) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError:
        return []
    return [(family, address) for family, _, _, _, address in found]


def _usable(text: str) -> Iterator[str]:
    """The address, unless other hosts can't use it: a link-local one needs an interface's name."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if not (address.is_unspecified or address.is_link_local):
        yield str(address)
