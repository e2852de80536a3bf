"""A real Pachyderm for `local.init`: where it is, and the port-forward that leads to it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kfp_pachyderm.errors import AuthenticationError, PachydermUnreachableError, ProtocolError
from kfp_pachyderm.launcher.claim import holder_image
from kfp_pachyderm.pachd.connection.address import (
    ADDRESS_FILE,
    DEFAULT_ADDRESS,
    TOKEN_FILE,
    Address,
    from_environment,
    mounted,
    parse,
)
from kfp_pachyderm.pachd.connection.port_forward import VARIABLE

if TYPE_CHECKING:
    import pachyderm_sdk

    from kfp_pachyderm.forward.forwarder import Forwarder

#: Where a notebook's pod has the namespace's ConfigMap, as steps have it, and Secret.
CONFIG_FOLDER, SECRET_FOLDER = Path(ADDRESS_FILE).parent, Path(TOKEN_FILE).parent


def default_address(env: Mapping[str, str]) -> str:
    """The address of KFP_PACHYDERM_ADDRESS, else of the mounted ConfigMap; "" without both."""
    return env.get("KFP_PACHYDERM_ADDRESS", "").strip() or mounted(CONFIG_FOLDER / "address")


def find(address: str | None, token: str | None, env: Mapping[str, str]) -> Address:
    """The Pachyderm that is meant.

    A default's token goes to the default's address alone.

    Args:
        address: the caller's; None: the default's, else grpc://pachd.pachyderm:30650.
        token: the caller's; None: the default's.
        env: the environment.

    Raises:
        PachydermUnreachableError: no such address.
        CertificateError: the certificate authority's file can't be used.
    """
    default = default_address(env)
    url = parse(address or default or DEFAULT_ADDRESS).url
    if token is None:
        own = not address or not default or parse(default).url == url
        token = _default_token(env) if own else ""
    # The port-forward of somebody else leads somewhere else.
    known = {**env, VARIABLE: "", "KFP_PACHYDERM_ADDRESS": url, "KFP_PACHYDERM_TOKEN": token}
    return from_environment(None, known)


def _default_token(env: Mapping[str, str]) -> str:
    return env.get("KFP_PACHYDERM_TOKEN", "").strip() or mounted(SECRET_FOLDER / "token")


def variables(where: Address, env: Mapping[str, str]) -> dict[str, str]:
    """What tells steps which Pachyderm it is, and the default's holder image."""
    return {
        "KFP_PACHYDERM_ADDRESS": where.url,
        "KFP_PACHYDERM_TOKEN": where.token,
        holder_image.VARIABLE: holder_image.of_namespace(env, CONFIG_FOLDER / "holder_image"),
    }


def forward(where: Address) -> tuple[Address, Forwarder]:
    """A port-forward to a Pachyderm in the cluster of the user's kubeconfig, tried once.

    Args:
        where: pachd's address as it is inside of the cluster.

    Returns:
        The address as it is reached from here, and the port-forward, which the caller closes.

    Raises:
        PermanentError: no package `kubernetes`, no kubeconfig, no service's name.
        NotFoundError: no such service, or no pod behind it.
        AuthenticationError: Kubernetes refuses; the rights that it needs are named.
        PachydermUnreachableError: Kubernetes does not answer.
    """
    from kfp_pachyderm.forward.cluster import Cluster, service_and_namespace
    from kfp_pachyderm.forward.forwarder import Forwarder

    _, namespace = service_and_namespace(where.host)
    netloc = urlsplit(where.url).netloc
    forwarder = Forwarder(Cluster(), namespace)
    try:
        forwarder.probe(netloc)
        return replace(where, dialled=forwarder.local(netloc)), forwarder
    except BaseException:
        forwarder.close()
        raise


def check(where: Address) -> None:
    """Whether Pachyderm answers at the address, with this token.

    Raises:
        PachydermUnreachableError, AuthenticationError, CertificateError: it does not.
    """
    from kfp_pachyderm.pachd.connection.client import connect

    try:
        with connect(where) as pachd, suppress(ProtocolError):  # which says that auth is off
            pachd.auth.who_am_i()
    except AuthenticationError as error:
        raise AuthenticationError(f"{error}; here by local.init(token=...) or KFP_PACHYDERM_TOKEN") from error
    except PachydermUnreachableError as error:
        if where.dialled:
            raise
        raise PachydermUnreachableError(
            f"{error}; from outside of the cluster: local.init(address={where.url!r}, port_forward=True)"
        ) from error


def sdk_client(where: Address) -> pachyderm_sdk.Client:
    """Pachyderm's own client for the address."""
    from pachyderm_sdk import Client

    if not where.dialled:
        return Client.from_pachd_address(where.url, auth_token=where.token or None, root_certs=where.ca)
    scheme = urlsplit(where.url).scheme
    made = _named(where.host) if where.tls else Client
    found: pachyderm_sdk.Client = made.from_pachd_address(
        f"{scheme}://{where.dialled}", auth_token=where.token or None, root_certs=where.ca
    )
    return found


def _named(host: str) -> type[pachyderm_sdk.Client]:
    """The client for a certificate of another name than the address: the SDK has no option for that."""
    import grpc
    from pachyderm_sdk import Client
    from pachyderm_sdk.client import _apply_metadata_interceptor
    from pachyderm_sdk.constants import GRPC_CHANNEL_OPTIONS

    class Named(Client):  # type: ignore[misc]
        """It makes a new channel for every token and transaction, so each is replaced."""

        @property
        def _channel(self) -> grpc.Channel:
            return self._named_channel

        @_channel.setter
        def _channel(self, _: grpc.Channel) -> None:
            options = [*GRPC_CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", host)]
            credentials = grpc.ssl_channel_credentials(self.root_certs)
            channel = grpc.secure_channel(self.address, credentials, options=options)
            self._named_channel = _apply_metadata_interceptor(channel, self._grpc_metadata)

    return Named
