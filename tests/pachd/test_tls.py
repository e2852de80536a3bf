"""grpcs:// with a private certificate authority, and the errors when the handshake fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.errors import CertificateError, NotFoundError, PachydermUnreachableError
from kfp_pachyderm.pachd.connection.address import Address, from_environment
from kfp_pachyderm.pachd.connection.client import connect
from kfp_pachyderm.pachd.references import repo_message
from tests.grpc_proxy import Proxy, pem, tls_in_front_of

AUTHORITY = trustme.CA()


@pytest.fixture(scope="module")
def front(address: str) -> Iterator[Proxy]:
    with tls_in_front_of(address, AUTHORITY) as proxy:
        yield proxy


def test_private_authority_from_the_mounted_file(front: Proxy, tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(pem(AUTHORITY))
    env = {"KFP_PACHYDERM_ADDRESS": front.address, "KFP_PACHYDERM_CA": str(file)}
    with connect(from_environment(None, env)) as pachd:
        repo = repo_message("default", "nowhere")
        with pytest.raises(NotFoundError, match=front.address):
            pachd.pfs.inspect_repo(repo=repo)


def test_namespaces_authority_is_where_the_pod_mounts_it(
    front: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfp_pachyderm.pachd.connection.address.CA_FILE", str(tmp_path / "ca.crt"))
    env = {"KFP_PACHYDERM_ADDRESS": front.address}
    assert from_environment(None, env).ca is None
    (tmp_path / "ca.crt").write_bytes(pem(AUTHORITY))
    assert from_environment(None, env).ca == pem(AUTHORITY)


def test_private_authority_as_text_stands_before_a_file(front: Proxy, tmp_path: Path) -> None:
    """A step whose task can't have volumes gets the authority as text."""
    (tmp_path / "ca.crt").write_bytes(pem(trustme.CA()))
    env = {
        "KFP_PACHYDERM_ADDRESS": front.address,
        "KFP_PACHYDERM_CA_TEXT": pem(AUTHORITY).decode(),
        "KFP_PACHYDERM_CA": str(tmp_path / "ca.crt"),
    }
    with connect(from_environment(None, env)) as pachd:
        assert pachd.version
    # The authority is ignored for an address without TLS.
    assert from_environment(None, env | {"KFP_PACHYDERM_ADDRESS": "grpc://pachd:1"}).ca is None


def test_text_that_is_no_authority() -> None:
    env = {"KFP_PACHYDERM_ADDRESS": "grpcs://pachd:443", "KFP_PACHYDERM_CA_TEXT": "no certificate"}
    with pytest.raises(CertificateError, match=r"KFP_PACHYDERM_CA_TEXT.*ca_secret"):
        from_environment(None, env)


def test_adapter_goes_to_pachd_by_tls_where_the_sidecar_is_closed(front: Proxy, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = f"grpc://127.0.0.1:{probe.getsockname()[1]}"
    config = AdapterConfig(
        sidecar=closed,
        pachd=front.address,
        token="",
        inputs={},
        output=None,
        aliases={},
        access_key="",
        secret_key="",
        spool=str(tmp_path),
        authority=pem(AUTHORITY).decode(),
    )
    remote = Sidecar(config).remote()
    assert remote.inspect(("default", "nowhere", "0" * 32), "/a") is None
    assert "InspectFile" in front.calls


@pytest.mark.parametrize("ca", [pem(trustme.CA()), None], ids=["another one", "the system's"])
def test_other_authority(front: Proxy, ca: bytes | None) -> None:
    with pytest.raises(CertificateError, match="not trusted") as caught:
        connect(Address(front.address, ca=ca))
    assert front.address in str(caught.value)
    assert "ca_secret" in str(caught.value)


def test_certificate_of_another_host(address: str) -> None:
    with (
        tls_in_front_of(address, AUTHORITY, "pachd.pachyderm") as elsewhere,
        pytest.raises(CertificateError, match=r"mismatch.*127\.0\.0\.1"),
    ):
        connect(Address(elsewhere.address, ca=pem(AUTHORITY)))


def test_server_without_tls(address: str) -> None:
    plain = address.replace("grpc://", "grpcs://")
    with pytest.raises(CertificateError, match=rf"{plain} does not speak TLS .*begins with grpc://"):
        connect(Address(plain, ca=pem(AUTHORITY)))


def test_tls_server_without_grpcs(front: Proxy) -> None:
    with pytest.raises(PachydermUnreachableError, match=r"grpcs:// with TLS"):
        connect(Address(front.address.replace("grpcs://", "grpc://")), timeout=0.3)


@pytest.mark.parametrize("content", ["", "no certificate", None])
def test_file_that_is_no_authority(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_text(content)
    env = {"KFP_PACHYDERM_ADDRESS": "grpcs://pachd.pachyderm:443", "KFP_PACHYDERM_CA": str(file)}
    with pytest.raises(CertificateError, match=r"grpcs://pachd\.pachyderm:443.*ca_secret") as caught:
        from_environment(None, env)
    assert str(file) in str(caught.value)


def test_nobody_listens_at_a_tls_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"grpcs://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(PachydermUnreachableError, match=f"no Pachyderm answers at {url}"):
        connect(Address(url, ca=pem(AUTHORITY)), timeout=0.3)
