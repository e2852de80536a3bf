"""Checks of the environment that steps would run in; they make no call to Pachyderm."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from kfp_pachyderm.doctor.finding import Finding, error, ok, warning
from kfp_pachyderm.launcher.claim.holder_image import DEFAULT_IMAGE, VARIABLE, holder_image
from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.connection.port_forward import VARIABLE as FORWARDER

#: Environment variables in which S3 clients look for their endpoint.
_ENDPOINTS = ("S3_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


def address(where: Address, source: str, env: Mapping[str, str]) -> Finding:
    """Checks that DNS resolves pachd's name from here."""
    said = f"{where.url} (from {source})"
    if env.get(FORWARDER):
        return ok("address", f"{said}, by a port-forward")
    try:
        socket.getaddrinfo(where.host, None, type=socket.SOCK_STREAM)
    except OSError as problem:
        return error(
            "address",
            f"{said}: {where.host} has no address here: {problem}",
            "give pachd's address by --address or KFP_PACHYDERM_ADDRESS; from outside of the cluster add "
            "--port-forward",
        )
    return ok("address", said)


def names_namespace(where: Address) -> bool:
    """Returns whether pachd's address names its namespace, in which the workers are, too."""
    try:
        ipaddress.ip_address(where.host)
    except ValueError:
        return "." in where.host
    return False


def master_gateway(where: Address, env: Mapping[str, str]) -> Finding:
    """Checks that the environment does not send S3 clients to Pachyderm's master gateway."""
    for name in _ENDPOINTS:
        host = urlsplit(env.get(name, "")).hostname or ""
        if host and not host.startswith("s3-") and host.split(".")[0] in _pachyderms(where):
            return warning(
                "gateway",
                f"{name} leads to {host}, the S3 gateway of all of Pachyderm: work done there has no "
                "provenance. Steps replace it, other programs here do not",
                f"unset {name}; inside of a step the endpoint of its job is set",
            )
    return ok("gateway", "no S3 endpoint in the environment leads to Pachyderm's master gateway")


def _pachyderms(where: Address) -> set[str]:
    return {where.host.split(".")[0], "pachd", "pachyderm-proxy"}


def image(env: Mapping[str, str]) -> Finding:
    """Tells which image the holder of a step would run in."""
    found = holder_image(env=env)
    named = bool(env.get(VARIABLE, "").strip())
    source = f"the namespace's or this environment's ({VARIABLE})" if named else "the built-in default"
    registry = ", from the public registry" if found == DEFAULT_IMAGE else ""
    return ok(
        "holder image", f"{found}, {source}{registry}; whether Pachyderm's nodes can have it, --run shows"
    )
