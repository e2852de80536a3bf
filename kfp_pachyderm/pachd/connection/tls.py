"""Finds out why a TLS connection fails. grpc's own texts differ from version to version, or are missing."""

from __future__ import annotations

import socket
import ssl

from kfp_pachyderm.errors import CertificateError
from kfp_pachyderm.pachd.connection.address import Address


def check_certificate(address: Address, timeout: float) -> None:
    """Checks the certificate of an address to which grpc could not connect.

    Args:
        address: an address with TLS ("grpcs://").
        timeout: the timeout of the connection and of the handshake, each, in seconds.

    Raises:
        CertificateError: the server does not speak TLS, or its certificate is not trusted or not for this
            host.
    """
    context = ssl.create_default_context(cadata=address.ca.decode() if address.ca else None)
    context.set_alpn_protocols(["h2"])
    host, _, port = address.target.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout) as plain:
            context.wrap_socket(plain, server_hostname=address.host).close()
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(
            f"{address.url} shows a certificate that is not trusted: {error.verify_message}; name the Secret "
            "with its certificate authority by Connection(ca_secret=...), and write the host as the "
            "certificate has it"
        ) from error
    except ssl.SSLError as error:
        raise CertificateError(
            f"{address.url} does not speak TLS ({error.reason}); without TLS the address begins with grpc://"
        ) from error
    except OSError:
        return
