"""Connection: secrets by reference, and never shown."""

from __future__ import annotations

import traceback

import pytest

from kfp_pachyderm.authoring.spec import Connection
from kfp_pachyderm.errors import LiteralSecretError, SpecError

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyb2JvdCJ9.c2lnbmF0dXJl"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
TOKENS = [
    JWT,
    PEM,
    "0123456789abcdef" * 2,
    "0123456789ABCDEF" * 2,
    "12345678-1234-4234-8234-1234567890ab",
    "a b",
    "",
    "a//b",
]


def test_names_and_keys() -> None:
    connection = Connection("grpcs://pachd.example.com:443", "auth", "tls/ca.pem")
    assert (connection.token_key(), connection.ca_key()) == (("auth", "token"), ("tls", "ca.pem"))
    assert Connection(ca_secret="tls").ca_key() == ("tls", "ca.crt")
    assert (Connection().address, Connection().token_key(), Connection().ca_key()) == (None, None, None)


@pytest.mark.parametrize("argument", ["token_secret", "ca_secret"])
@pytest.mark.parametrize("literal", TOKENS)
def test_literal_secrets_are_refused_and_not_shown(argument: str, literal: str) -> None:
    with pytest.raises(
        LiteralSecretError, match=f'Argument for "{argument}" must name a Kubernetes Secret'
    ) as raised:
        Connection(**{argument: literal})
    shown = "".join(traceback.format_exception(raised.value))
    assert len(literal) < 5 or literal not in shown
    assert raised.value.__context__ is None


@pytest.mark.parametrize("argument", ["token", "auth_token", "ca"])
def test_arguments_for_literals_are_refused(argument: str) -> None:
    with pytest.raises(LiteralSecretError, match=f'takes no "{argument}"') as raised:
        Connection(**{argument: JWT})
    assert JWT not in str(raised.value)


@pytest.mark.parametrize(
    "address", ["grpc://robot:" + JWT + "@pachd:30650", f"grpc://pachd:30650?token={JWT}"]
)
def test_secrets_in_the_address_are_refused(address: str) -> None:
    with pytest.raises(LiteralSecretError) as raised:
        Connection(address)
    assert JWT not in str(raised.value)


@pytest.mark.parametrize(
    "address", ["pachd", "pachd:30650", "grpc://pachd", "grpc://pachd:x", "s3://a:1", "grpc://a:1/b", ""]
)
def test_addresses_that_cant_be_read(address: str) -> None:
    with pytest.raises(SpecError, match="grpc://host:port"):
        Connection(address)


def test_not_a_text() -> None:
    with pytest.raises(SpecError, match='Argument for "address" must be a non-empty string'):
        Connection(5)  # type: ignore[arg-type]
    with pytest.raises(LiteralSecretError):
        Connection(token_secret=b"abc")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "package", ["https://robot:" + JWT + "@pip.example.com/simple", f"https://a/b?t={JWT}"]
)
def test_secrets_in_the_package_are_refused(package: str) -> None:
    with pytest.raises(LiteralSecretError, match='Argument for "package"') as raised:
        Connection(package=package)
    assert JWT not in str(raised.value)


@pytest.mark.parametrize(
    "package", ["", "boto3", "kfp-pachyderm --user", "wheels", "../wheels", "/mnt/my wheels", 5]
)
def test_packages_that_cant_be_read(package: object) -> None:
    with pytest.raises(SpecError, match='Argument for "package" names nothing to install'):
        Connection(package=package)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["my.tls", "n" * 64])
def test_ca_secret_that_can_not_be_a_volume(name: str) -> None:
    with pytest.raises(SpecError, match="no dots there and 63 characters at most"):
        Connection(ca_secret=name)
