"""Finds the Pachyderm that a command talks to, for all commands."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kfp_pachyderm.errors import PachydermUnreachableError

if TYPE_CHECKING:
    from kfp_pachyderm.pachd.connection.address import Address
    from kfp_pachyderm.pachd.connection.client import Pachd

F = TypeVar("F", bound=Callable[..., Any])

#: Seconds that a call is repeated after pachd has stopped answering. A person waits, so it is short.
GRACE = 15.0
#: Kubernetes sets it in each pod. In a pod without the namespace's ConfigMap, commands take pachd's usual
#: address, as steps do.
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True)
class Found:
    """The address of a Pachyderm, and where the address comes from.

    Args:
        where: the address.
        source: the source of the address, for people.
    """

    where: Address
    source: str


def options(command: F) -> F:
    """Adds the options `--address` and `--port-forward` to a command."""

    @click.option(
        "--address",
        help="pachd's address; else KFP_PACHYDERM_ADDRESS, the mounted one, the embedded in ./.pachyderm.",
    )
    @click.option("--port-forward", is_flag=True, help="Reach Pachyderm through the Kubernetes API.")
    @functools.wraps(command)
    def wrapped(*args: Any, **given: Any) -> Any:
        return command(*args, **given)

    return wrapped  # type: ignore[return-value]


@contextmanager
def opened(address: str | None, port_forward: bool = False) -> Iterator[Pachd]:
    """Connects to the Pachyderm that options and environment name, for the length of the block.

    Args:
        address: the value of `--address`.
        port_forward: whether the way leads through the Kubernetes API.

    Raises:
        PachydermUnreachableError: no Pachyderm is named, or none answers at the address.
        AuthenticationError: pachd refuses the token.
        CertificateError: TLS fails.
    """
    # Only commands that connect import grpc: `--help` stays quick.
    from kfp_pachyderm.pachd.connection.client import connect

    with ExitStack() as stack:
        found = find(address, port_forward, stack)
        yield stack.enter_context(connect(found.where, grace=GRACE))


def find(address: str | None, port_forward: bool, stack: ExitStack) -> Found:
    """Finds the Pachyderm that options and environment name; the embedded one is started if it does not run.

    Args:
        address: the value of `--address`.
        port_forward: whether the way leads through the Kubernetes API.
        stack: ends the port-forward, and the embedded Pachyderm that this call has started.

    Raises:
        PachydermUnreachableError: no Pachyderm is named, or the address can't be read.
    """
    from kfp_pachyderm.local import real_pachyderm
    from kfp_pachyderm.pachd.connection.address import DEFAULT_ADDRESS

    if address or real_pachyderm.default_address(os.environ):
        found = Found(real_pachyderm.find(address, None, os.environ), _source(address))
    elif port_forward or os.environ.get(_IN_CLUSTER):
        found = Found(real_pachyderm.find(DEFAULT_ADDRESS, None, os.environ), "the built-in default")
    else:
        found = _embedded(stack)
    return replace(found, where=_forwarded(found.where, stack)) if port_forward else found


def _source(address: str | None) -> str:
    if address:
        return "--address"
    return "KFP_PACHYDERM_ADDRESS" if os.environ.get("KFP_PACHYDERM_ADDRESS") else "the mounted ConfigMap"


def _embedded(stack: ExitStack) -> Found:
    """Joins the embedded Pachyderm whose data is in ./.pachyderm, or starts it for this command."""
    from kfp_pachyderm.embedded.auth.startup import TOKEN_FILE
    from kfp_pachyderm.embedded.process import start
    from kfp_pachyderm.local import DEFAULT_DATA_DIR, real_pachyderm
    from kfp_pachyderm.pachd.connection.address import mounted

    folder = Path(DEFAULT_DATA_DIR).absolute()
    if not (folder / "pachyderm.db").exists():
        raise PachydermUnreachableError(
            "no Pachyderm is named; give its address by --address grpc://<host>:<port>, or by "
            "KFP_PACHYDERM_ADDRESS (with auth on and KFP_PACHYDERM_TOKEN), or go to a folder where "
            f"local.init() or `kfp-pachyderm dev` has left the data of an embedded one: {folder} has none"
        )
    server = stack.enter_context(start(folder))
    token = os.environ.get("KFP_PACHYDERM_TOKEN", "").strip() or mounted(folder / TOKEN_FILE)
    return Found(
        real_pachyderm.find(server.address, token, os.environ), f"the embedded Pachyderm in {folder}"
    )


def _forwarded(where: Address, stack: ExitStack) -> Address:
    """Returns the address through a port-forward, which child processes find by the environment."""
    from kfp_pachyderm.local import real_pachyderm
    from kfp_pachyderm.pachd.connection.port_forward import VARIABLE

    where, forwarder = real_pachyderm.forward(where)
    stack.callback(forwarder.close)
    os.environ[VARIABLE] = forwarder.variable
    stack.callback(os.environ.pop, VARIABLE)
    return where
