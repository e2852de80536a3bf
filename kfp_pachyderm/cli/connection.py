"""Which Pachyderm a command talks to: the one place for all commands."""

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

#: Seconds that a Pachyderm which has answered may be away: a person waits.
GRACE = 15.0
#: Where the namespace's ConfigMap is not mounted, steps in a cluster take Pachyderm's usual address.
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True)
class Found:
    """Where Pachyderm is.

    Args:
        where: its address.
        source: where the address is from, for people.
    """

    where: Address
    source: str


def options(command: F) -> F:
    """The options that say which Pachyderm: `address`, `port_forward`."""

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
    """A connection to the Pachyderm that is meant.

    Args:
        address: of `--address`.
        port_forward: whether it is reached through the Kubernetes API.

    Raises:
        PachydermUnreachableError: none is named, or nobody answers there.
        AuthenticationError, CertificateError: it does not let us in.
    """
    # grpc is imported by the commands that need it only: `--help` stays quick.
    from kfp_pachyderm.pachd.connection.client import connect

    with ExitStack() as stack:
        found = find(address, port_forward, stack)
        yield stack.enter_context(connect(found.where, grace=GRACE))


def find(address: str | None, port_forward: bool, stack: ExitStack) -> Found:
    """The Pachyderm that is meant; what leads to it, and ends it, is left on the stack.

    Raises:
        PachydermUnreachableError: none is named, or the address can't be read.
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
    """The one whose data is in ./.pachyderm: it is joined where it runs, else it runs for this command."""
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
    """The address through a port-forward, which is for all that this process starts, too."""
    from kfp_pachyderm.local import real_pachyderm
    from kfp_pachyderm.pachd.connection.port_forward import VARIABLE

    where, forwarder = real_pachyderm.forward(where)
    stack.callback(forwarder.close)
    os.environ[VARIABLE] = forwarder.variable
    stack.callback(os.environ.pop, VARIABLE)
    return where
