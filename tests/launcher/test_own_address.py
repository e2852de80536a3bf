"""By which address other pods reach a step."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest

from kfp_pachyderm.errors import PermanentError
from kfp_pachyderm.launcher.gateway.own_address import own_address
from tests.other_hosts import other_hosts

#: Reserved, so that no resolver knows it (RFC 6761).
NOWHERE = "pachd.invalid"


def test_the_route_to_pachd_says_it() -> None:
    with other_hosts(1) as hosts:
        found = own_address(hosts.others[0].address, 30650)
        assert found == hosts.here if hosts.apart else ipaddress.ip_address(found).is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_pachd_on_this_host_is_reached_by_loopback(host: str) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"no {host} here")
    assert own_address(host, 30650) == host


def test_else_the_hosts_name_does(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"step": ["127.0.1.1", "fe80::1", "10.1.2.3"]}

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        if host not in names:
            raise socket.gaierror("no such name")
        return [(0, 0, 0, "", (address, port)) for address in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "gethostname", lambda: "step")
    assert own_address(NOWHERE, 30650) == "10.1.2.3"
    names["step"] = ["127.0.1.1"]
    assert own_address(NOWHERE, 30650) == "127.0.1.1"
    del names["step"]
    with pytest.raises(PermanentError, match=f"no route to {NOWHERE}"):
        own_address(NOWHERE, 30650)
