"""Where pachd is, and with what credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from kfp_pachyderm.errors import CertificateError, PachydermUnreachableError
from kfp_pachyderm.pachd.connection.port_forward import dialled

DEFAULT_ADDRESS = "grpc://pachd.pachyderm:30650"
#: Where a step's pod has the certificate authority, unless KFP_PACHYDERM_CA names another file.
CA_FILE = "/kfp-pachyderm/ca/ca.crt"
#: Where a step that kfp 2.14 compiled has the namespace's default instead of in its environment.
ADDRESS_FILE, TOKEN_FILE = "/kfp-pachyderm/ca/address", "/kfp-pachyderm/auth/token"
_SCHEMES = {"grpc": False, "http": False, "grpcs": True, "https": True}


@dataclass(frozen=True)
class Address:
    """How to reach pachd.

    Args:
        url: "grpc://host:port" or "grpcs://host:port".
        token: the authentication token; "" with auth off; never printed.
        ca: PEM text of the certificate authority for grpcs; None: the system's.
        dialled: "host:port" of the port-forward that leads there; "": it is reached by its own name.
    """

    url: str
    token: str = field(default="", repr=False)
    ca: bytes | None = field(default=None, repr=False)
    dialled: str = ""

    @property
    def host(self) -> str:
        """The host's name or IP address, without port."""
        return urlsplit(self.url).hostname or ""

    @property
    def target(self) -> str:
        """What grpc dials."""
        return self.dialled or urlsplit(self.url).netloc

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return _SCHEMES[urlsplit(self.url).scheme]


def parse(text: str, token: str = "", ca: bytes | None = None) -> Address:
    """The address that a text names; "host:port" means grpc.

    Raises:
        PachydermUnreachableError: no such address.
    """
    url = text if "://" in text else f"grpc://{text}"
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if (
        parts.scheme not in _SCHEMES
        or not parts.hostname
        or port is None
        or parts.path.strip("/")
        or "@" in parts.netloc
    ):
        raise PachydermUnreachableError(
            f"{text!r} is no pachd address: write grpc://<host>:<port> or grpcs://<host>:<port>, "
            f"as {DEFAULT_ADDRESS}"
        )
    return Address(f"{parts.scheme}://{parts.netloc}", token, ca)


def from_environment(author: str | None, env: Mapping[str, str] = os.environ) -> Address:
    """The address in KFP_PACHYDERM_ADDRESS, else the author's, else the mounted one, else the usual one.

    The token is in KFP_PACHYDERM_TOKEN; the mounted one is for no address but the default's.
    KFP_PACHYDERM_CA_TEXT is the certificate authority, else KFP_PACHYDERM_CA names its file.
    KFP_PACHYDERM_FORWARDER is a port-forward that leads there.

    Raises:
        PachydermUnreachableError: no such address, or the port-forward does not lead there.
        CertificateError: the certificate authority's file can't be used.
    """
    named = env.get("KFP_PACHYDERM_ADDRESS") or author
    text = named or mounted(ADDRESS_FILE) or DEFAULT_ADDRESS
    token = env.get("KFP_PACHYDERM_TOKEN", "").strip() or ("" if named else mounted(TOKEN_FILE))
    found = parse(text, token)
    found = replace(found, dialled=dialled(urlsplit(found.url).netloc, env))
    authority = env.get("KFP_PACHYDERM_CA_TEXT", "")
    if authority and found.tls:
        return replace(found, ca=_checked(found.url, authority.encode(), "KFP_PACHYDERM_CA_TEXT"))
    file = env.get("KFP_PACHYDERM_CA") or (CA_FILE if Path(CA_FILE).exists() else "")
    # An address from the environment may be plain where the author's connection has a private authority.
    return replace(found, ca=_authority(found.url, Path(file))) if file and found.tls else found


def mounted(file: str | Path) -> str:
    """What a file of the namespace's default says; "" where it is not mounted."""
    try:
        return Path(file).read_text().strip()
    except OSError:
        return ""


def _authority(url: str, file: Path) -> bytes:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise _unusable(url, f"file {file}", error) from error
    return _checked(url, text, f"file {file}")


def _checked(url: str, text: bytes, where: str) -> bytes:
    import ssl

    try:
        # grpc itself does not say what is wrong with the text.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text.decode())
    except (OSError, ValueError) as error:
        raise _unusable(url, where, error) from error
    return text


def _unusable(url: str, where: str, error: Exception) -> CertificateError:
    return CertificateError(
        f"{url}: the certificate authority's {where} can't be used ({error}): it must be PEM, in "
        'the key that Connection(ca_secret="name/key") names, or in "ca.crt" of the namespace\'s default'
    )
