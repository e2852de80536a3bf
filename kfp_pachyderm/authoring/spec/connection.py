"""`Connection`: pachd's address, and the Kubernetes Secrets that hold token and certificate authority."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from pydantic import field_validator

from kfp_pachyderm.authoring.spec.model import Model
from kfp_pachyderm.errors import LiteralSecretError, SpecError

_SECRET = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
#: Pachyderm's own tokens are UUIDs in hex, and a Secret could have such a name. Hex of that length is refused
#: as a name, since it is probably a token.
_HEX_TOKEN = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12,}")
_SCHEMES = ("grpc", "grpcs", "http", "https")
#: A requirement of pip, a URL, or the path of an absolute folder.
_PACKAGE = re.compile(r"kfp-pachyderm([<>=!~]=?[\w.*+,<>=!~]+)?|(https?|file)://\S+|/\S+")


class Connection(Model):
    """How the steps of a pipeline reach Pachyderm. It names Kubernetes Secrets, and never holds their values.

    What a connection leaves open comes from the default of the namespace that a step runs in: the ConfigMap
    "kfp-pachyderm" with the keys "address", "ca.crt", "holder_image" and "openlineage.yml", and the Secret
    "kfp-pachyderm" with the keys "token" and "openlineage_auth". Each key is optional (docs/connection.md).

    Args:
        address: pachd's address, for example "grpc://pachd.pachyderm:30650" ("grpcs://" with TLS); None:
            the namespace's default, else grpc://pachd.pachyderm:30650. A connection with an address uses
            nothing of the namespace's default.
        token_secret: the Kubernetes Secret with Pachyderm's auth token, as "name" or "name/key"; the key is
            "token" unless given. The step gets the token as an environment variable.
        ca_secret: the Kubernetes Secret with the certificate authority of pachd's TLS certificate in PEM, as
            "name" or "name/key"; the key is "ca.crt" unless given. The step gets it as a mounted file.
        package: what a step's pip installs the launcher from, where the image has no launcher. One of: a
            version, "kfp-pachyderm==0.1.0"; the URL of a package index, "https://pip.example.com/simple"; the
            URL of a wheel; the path of an absolute folder in the container. The folder has the wheels of this
            package and of its dependencies, and pip asks no index. None: the version that compiles the
            pipeline, from the index that pip is configured for (PIP_INDEX_URL).

    Raises:
        LiteralSecretError: an argument is not the name of a Secret, or holds a secret; the message does not
            show it.
        SpecError: the address or the package can't be read, or Kubernetes can't mount `ca_secret`.
    """

    address: str | None
    token_secret: str | None
    ca_secret: str | None
    package: str | None

    def __init__(
        self,
        address: str | None = None,
        token_secret: str | None = None,
        ca_secret: str | None = None,
        package: str | None = None,
        **literal: Any,
    ) -> None:
        if literal:
            raise LiteralSecretError(
                f'Connection takes no "{next(iter(literal))}": secrets are passed by reference. Put the '
                'value into a Kubernetes Secret and pass its name as "token_secret" or "ca_secret".'
            )
        super().__init__(address=address, token_secret=token_secret, ca_secret=ca_secret, package=package)

    @field_validator("address", mode="before")
    @classmethod
    def _address(cls, value: object) -> str | None:
        return None if value is None else _checked_address(value)

    @field_validator("token_secret", mode="before")
    @classmethod
    def _token_secret(cls, value: object) -> str | None:
        return None if value is None else _checked_reference("token_secret", value)

    @field_validator("ca_secret", mode="before")
    @classmethod
    def _ca_secret(cls, value: object) -> str | None:
        return None if value is None else _checked_volume(_checked_reference("ca_secret", value))

    @field_validator("package", mode="before")
    @classmethod
    def _package(cls, value: object) -> str | None:
        return None if value is None else _checked_package(value)

    def token_key(self) -> tuple[str, str] | None:
        """Returns the name and the key of the Secret that holds the token; None: it names none."""
        return _name_and_key(self.token_secret, "token")

    def ca_key(self) -> tuple[str, str] | None:
        """Returns the name and the key of the Secret with the certificate authority; None: it names none."""
        return _name_and_key(self.ca_secret, "ca.crt")


def _name_and_key(reference: str | None, default_key: str) -> tuple[str, str] | None:
    if reference is None:
        return None
    name, _, key = reference.partition("/")
    return name, key or default_key


def _checked_reference(argument: str, value: object) -> str:
    if isinstance(value, str):
        name, slash, key = value.partition("/")
        named = _SECRET.fullmatch(name) and (_KEY.fullmatch(key) if slash else True)
        if named and not _HEX_TOKEN.search(value.lower()):
            return value
    raise LiteralSecretError(
        f'Argument for "{argument}" must name a Kubernetes Secret, as "name" or "name/key". Got something '
        "else (not shown: it may be the secret itself). Put the value into a Secret and pass the Secret's "
        "name."
    )


def _checked_volume(reference: str) -> str:
    # kfp-kubernetes gives the volume the Secret's name, and a volume's name has to be a DNS label
    # (kfp.kubernetes.secret.use_secret_as_volume)
    name = reference.partition("/")[0]
    if "." in name or len(name) > 63:
        raise SpecError(
            f'Argument for "ca_secret" names the Secret "{name}", which can\'t be the name of a volume: '
            "Kubernetes takes no dots there and 63 characters at most. Use a Secret of another name."
        )
    return reference


def _checked_address(value: object) -> str:
    way_out = 'Pass pachd\'s address as "grpc://host:port" or "grpcs://host:port".'
    if not isinstance(value, str):
        raise SpecError(f'Argument for "address" must be a non-empty string. {way_out}')
    if "@" in value or "?" in value:
        raise LiteralSecretError(
            f'Argument for "address" holds more than host and port (not shown: it may be a secret). {way_out}'
        )
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _SCHEMES or not parts.hostname or port is None or parts.path.strip("/"):
        raise SpecError(
            f"Argument for \"address\" can't be read as pachd's address. Got {value!r}. {way_out}"
        )
    return value.rstrip("/")


def _checked_package(value: object) -> str:
    way_out = (
        'Pass a version, as "kfp-pachyderm==0.1.0", a package index, as "https://pip.example.com/simple", '
        'the address of a wheel, as "https://example.com/kfp_pachyderm-0.1.0-py3-none-any.whl", or a folder '
        'of wheels, as "/mnt/wheels".'
    )
    if isinstance(value, str) and ("@" in value or "?" in value):
        raise LiteralSecretError(
            f'Argument for "package" holds more than an address (not shown: it may be a secret). {way_out}'
        )
    if not isinstance(value, str) or not _PACKAGE.fullmatch(value):
        raise SpecError(f'Argument for "package" names nothing to install. Got {value!r}. {way_out}')
    return value


def check_connection(connection: object) -> None:
    """Refuses a value that is not a Connection, in an error that does not show the value.

    Raises:
        SpecError: the value is neither a Connection nor None.
    """
    if connection is not None and not isinstance(connection, Connection):
        raise SpecError('Argument for "connection" must be a Connection. Use Connection("grpc://host:port").')
