"""The address of pachd, with token and certificate authority."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from kfp_pachyderm.errors import CertificateError, PachydermUnreachableError
from kfp_pachyderm.pachd.connection.port_forward import dialled

DEFAULT_ADDRESS = "grpc://pachd.pachyderm:30650"
#: The file of the certificate authority in a step's pod, unless KFP_PACHYDERM_CA names another one.
CA_FILE = "/kfp-pachyderm/ca/ca.crt"
#: The files with the namespace's default address and token in a step that kfp 2.14 compiled. Other steps have
#: the default in their environment.
ADDRESS_FILE, TOKEN_FILE = "/kfp-pachyderm/ca/address", "/kfp-pachyderm/auth/token"
_SCHEMES = {"grpc": False, "http": False, "grpcs": True, "https": True}


@dataclass(frozen=True)
class Address:
    """The address of pachd.

    Args:
        url: "grpc://host:port" or "grpcs://host:port".
        token: the authentication token; "" with auth off; never printed.
        ca: PEM text of the certificate authority for grpcs; None: the system's.
        dialled: "host:port" of the port-forward that leads to pachd; "": pachd is reached by `url`.
    """

    url: str
    token: str = field(default="", repr=False)
    ca: bytes | None = field(default=None, repr=False)
    dialled: str = ""

    @property
    def host(self) -> str:
        """The host name or IP address in `url`, without the port."""
        return urlsplit(self.url).hostname or ""

    @property
    def target(self) -> str:
        """The "host:port" to which grpc connects."""
        return self.dialled or urlsplit(self.url).netloc

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return _SCHEMES[urlsplit(self.url).scheme]


def parse(text: str, token: str = "", ca: bytes | None = None) -> Address:
    """Parses an address. A text "host:port" without scheme means grpc.

    Raises:
        PachydermUnreachableError: the text is no address of pachd.
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
    """Finds pachd's address, and its token and certificate authority.

    The address is that of KFP_PACHYDERM_ADDRESS, else `author`, else that of the mounted file, else
    DEFAULT_ADDRESS. The token is that of KFP_PACHYDERM_TOKEN. A mounted token is used only if neither the
    environment nor `author` names an address. KFP_PACHYDERM_CA_TEXT holds the certificate authority, else
    KFP_PACHYDERM_CA names its file. KFP_PACHYDERM_FORWARDER names a port-forward.

    Args:
        author: the address in the pipeline's connection; None: the pipeline names none.
        env: the environment variables.

    Raises:
        PachydermUnreachableError: the text is no address, or the port-forward does not lead to it.
        CertificateError: the certificate authority can't be used.
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
    # With a plain address the certificate authority is not used: the environment's address may be plain while
    # the pipeline's connection names an authority.
    return replace(found, ca=_authority(found.url, Path(file))) if file and found.tls else found


def mounted(file: str | Path) -> str:
    """Reads a file of the namespace's default; returns "" if it is not mounted."""
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
        # ssl checks the text here because grpc does not say what is wrong with it.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text.decode())
    except (OSError, ValueError) as error:
        raise _unusable(url, where, error) from error
    return text


def _unusable(url: str, where: str, error: Exception) -> CertificateError:
    return CertificateError(
        f"{url}: the certificate authority's {where} can't be used ({error}): it must be PEM, in "
        'the key that Connection(ca_secret="name/key") names, or in "ca.crt" of the namespace\'s default'
    )
