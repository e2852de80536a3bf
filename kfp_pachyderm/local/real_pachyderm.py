"""Finds a real Pachyderm for `local.init`, checks it, and opens a port-forward to it."""

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

#: The folders at which a notebook's pod mounts the namespace's ConfigMap and Secret, as steps do.
CONFIG_FOLDER, SECRET_FOLDER = Path(ADDRESS_FILE).parent, Path(TOKEN_FILE).parent


def default_address(env: Mapping[str, str]) -> str:
    """Returns the address in KFP_PACHYDERM_ADDRESS, else in the mounted ConfigMap, else ""."""
    return env.get("KFP_PACHYDERM_ADDRESS", "").strip() or mounted(CONFIG_FOLDER / "address")


def find(address: str | None, token: str | None, env: Mapping[str, str]) -> Address:
    """Returns the address of the Pachyderm that the caller or the environment's default names.

    The default's token is used for the default's address only.

    Args:
        address: the caller's address; None: the default's, else grpc://pachd.pachyderm:30650.
        token: the caller's token; None: the default's.
        env: the environment.

    Raises:
        PachydermUnreachableError: the address can't be read.
        CertificateError: the certificate authority's file can't be used.
    """
    default = default_address(env)
    url = parse(address or default or DEFAULT_ADDRESS).url
    if token is None:
        own = not address or not default or parse(default).url == url
        token = _default_token(env) if own else ""
    # A port-forward that the environment names leads to another Pachyderm.
    known = {**env, VARIABLE: "", "KFP_PACHYDERM_ADDRESS": url, "KFP_PACHYDERM_TOKEN": token}
    return from_environment(None, known)


def _default_token(env: Mapping[str, str]) -> str:
    return env.get("KFP_PACHYDERM_TOKEN", "").strip() or mounted(SECRET_FOLDER / "token")


def variables(where: Address, env: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables by which steps find this Pachyderm and the default's holder image."""
    return {
        "KFP_PACHYDERM_ADDRESS": where.url,
        "KFP_PACHYDERM_TOKEN": where.token,
        holder_image.VARIABLE: holder_image.of_namespace(env, CONFIG_FOLDER / "holder_image"),
    }


def forward(where: Address) -> tuple[Address, Forwarder]:
    """Opens a port-forward to a Pachyderm in the cluster of the user's kubeconfig, and tries it once.

    Args:
        where: pachd's address inside of the cluster.

    Returns:
        The same address with the local port that leads to it, and the port-forward, which the caller closes.

    Raises:
        PermanentError: the package `kubernetes` or a kubeconfig is missing, or the address is not a
            service's.
        NotFoundError: the cluster has no such service, or no pod behind it.
        AuthenticationError: Kubernetes refuses; the message names the rights that it asks for.
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
    """Checks that Pachyderm answers at the address and accepts the token.

    Raises:
        PachydermUnreachableError: it does not answer.
        AuthenticationError: it refuses the token.
        CertificateError: TLS fails.
    """
    from kfp_pachyderm.pachd.connection.client import connect

    try:
        with connect(where) as pachd, suppress(ProtocolError):  # pachd's answer where auth is off
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
    """Returns Pachyderm's own client (pachyderm_sdk), connected to the address."""
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
    """Returns a class of client that expects the certificate of `host`, for which the SDK has no option."""
    import grpc
    from pachyderm_sdk import Client
    from pachyderm_sdk.client import _apply_metadata_interceptor
    from pachyderm_sdk.constants import GRPC_CHANNEL_OPTIONS

    class Named(Client):  # type: ignore[misc]
        """Replaces each channel: the SDK makes a new one for each token and transaction."""

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
