"""Other hosts for tests: network namespaces where they can be made (as root), else loopback addresses."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

_numbers = itertools.count()


@dataclass(frozen=True)
class Host:
    """A host.

    Args:
        address: its IP address.
        prefix: the beginning of a command line that runs a command on that host.
    """

    address: str
    prefix: tuple[str, ...] = ()

    def command(self, *argv: object) -> list[str]:
        """Returns the command line that runs these arguments on that host."""
        return [*self.prefix, *map(str, argv)]


@dataclass(frozen=True)
class Hosts:
    """This host and others.

    Args:
        here: the address by which the other hosts reach this one.
        others: the other hosts.
        apart: whether they have networks of their own; else they are loopback addresses of this host.
    """

    here: str
    others: tuple[Host, ...]
    apart: bool


@contextmanager
def other_hosts(count: int) -> Iterator[Hosts]:
    """Makes the given number of other hosts, and removes them at the end."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(_namespaces(count))
        except (OSError, subprocess.CalledProcessError):
            addresses = (f"127.0.0.{number}" for number in range(2, 2 + count))
            found = Hosts("127.0.0.1", tuple(map(Host, addresses)), apart=False)
        yield found


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def _namespaces(count: int) -> Iterator[Hosts]:
    name = f"kp{os.getpid() % 10**6}x{next(_numbers)}"
    # 198.18.0.0/15 is for tests of networks (RFC 2544), nobody's own
    number = os.getpid() % 512
    net = f"198.{18 + number // 256}.{number % 256}"
    others = tuple(
        Host(f"{net}.{one}", ("ip", "netns", "exec", f"{name}-{one}")) for one in range(2, 2 + count)
    )
    with ExitStack() as stack:
        _ip("link", "add", name, "type", "bridge")
        stack.callback(_ip, "link", "del", name)
        _ip("addr", "add", f"{net}.1/24", "dev", name)
        _ip("link", "set", name, "up")
        for one in others:
            space = one.prefix[-1]
            _ip("netns", "add", space)
            stack.callback(_ip, "netns", "del", space)
            end = f"{name}{one.address.rpartition('.')[2]}"
            _ip("link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", end, "master", name, "up")
            _ip("-n", space, "addr", "add", f"{one.address}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                _ip("-n", space, "link", "set", device, "up")
        _check_way(others[0], f"{net}.1")
        yield Hosts(f"{net}.1", others, apart=True)


def _check_way(host: Host, here: str) -> None:
    """Raises if a firewall blocks connections between the hosts."""
    reach = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
    with socket.create_server((here, 0)) as server:
        argv = (sys.executable, "-S", "-c", reach, here, server.getsockname()[1])
        subprocess.run(host.command(*argv), check=True, capture_output=True)
