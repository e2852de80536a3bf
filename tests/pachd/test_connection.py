"""Addresses, the connection, and the errors that gRPC's status codes become."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent import futures
from pathlib import Path

import grpc
import pytest
import trustme

from kfp_pachyderm import errors
from kfp_pachyderm.errors import PachydermUnreachableError
from kfp_pachyderm.pachd.connection import address as addresses
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.pachd.connection.status_codes import BY_CODE, code_of, error_class
from kfp_pachyderm.pachd.references import repo_message
from tests.waiting import PATIENCE


def test_every_grpc_code_has_an_error() -> None:
    assert set(BY_CODE) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        ("UNAVAILABLE", "connection refused", errors.PachydermUnreachableError),
        ("DEADLINE_EXCEEDED", "", errors.PachydermUnreachableError),
        ("UNAUTHENTICATED", "no authentication token", errors.AuthenticationError),
        ("PERMISSION_DENIED", "", errors.AuthenticationError),
        ("NOT_FOUND", "repo", errors.NotFoundError),
        ("UNIMPLEMENTED", "", errors.ProtocolError),
        ("UNKNOWN", "SQLSTATE 25P02: current transaction is aborted", errors.TemporaryError),
        ("UNKNOWN", "repo default/x not found", errors.NotFoundError),
        ("UNKNOWN", "no role binding exists for REPO default/nope", errors.NotFoundError),
        ("UNKNOWN", "robot:x is not authorized to perform this", errors.AuthenticationError),
        ("UNKNOWN", "no role binding exists for REPO default/x", errors.NotFoundError),
        ("UNKNOWN", "something else", errors.UnknownAnswerError),
    ],
)
def test_table_of_codes(code: str, details: str, kind: type[Exception]) -> None:
    assert error_class(grpc.StatusCode[code], details) is kind


def test_an_answer_becomes_our_error_with_address_and_call(pachd: Pachd) -> None:
    with pytest.raises(errors.NotFoundError, match="InspectRepo") as caught:
        pachd.pfs.inspect_repo(repo=repo_message("default", "nowhere"))
    assert code_of(caught.value) is grpc.StatusCode.NOT_FOUND
    assert pachd.address.url in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url", "tls"),
    [
        ("grpc://pachd.pachyderm:30650", "grpc://pachd.pachyderm:30650", False),
        ("pachd.pachyderm:30650", "grpc://pachd.pachyderm:30650", False),
        ("grpcs://pach.example.com:443", "grpcs://pach.example.com:443", True),
        ("https://pach.example.com:443/", "https://pach.example.com:443", True),
        ("grpc://[::1]:30650", "grpc://[::1]:30650", False),
    ],
)
def test_addresses(text: str, url: str, tls: bool) -> None:
    found = addresses.parse(text)
    assert (found.url, found.tls) == (url, tls)


@pytest.mark.parametrize(
    "text", ["", "pachd", "ftp://x:1", "grpc://x:port", "grpc://x", "grpc://u:p@x:1", "grpc://x:1/y"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(PachydermUnreachableError, match="is no pachd address"):
        addresses.parse(text)


def test_environment_beats_author_beats_default(tmp_path: Path) -> None:
    authority = trustme.CA().cert_pem
    authority.write_to_path(tmp_path / "ca.pem")
    env = {"KFP_PACHYDERM_ADDRESS": "grpcs://env:1", "KFP_PACHYDERM_TOKEN": "secret\n"}
    found = addresses.from_environment("author:2", env | {"KFP_PACHYDERM_CA": str(tmp_path / "ca.pem")})
    assert found == addresses.Address("grpcs://env:1", "secret", authority.bytes())
    assert "secret" not in repr(found)
    assert addresses.from_environment("author:2", {}).url == "grpc://author:2"
    assert addresses.from_environment(None, {}).url == addresses.DEFAULT_ADDRESS


def test_mounted_default_and_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that kfp 2.14 compiled finds the default in files; their token goes to no other address."""
    for name, text in (("ADDRESS_FILE", "grpc://mounted:1\n"), ("TOKEN_FILE", "secret\n")):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(addresses, name, str(tmp_path / name))
    assert addresses.from_environment(None, {}) == addresses.Address("grpc://mounted:1", "secret")
    assert addresses.from_environment("author:2", {}) == addresses.Address("grpc://author:2")
    env = {"KFP_PACHYDERM_ADDRESS": "grpc://env:1"}
    assert addresses.from_environment(None, env) == addresses.Address("grpc://env:1")


def test_ca_is_not_read_for_a_plain_address() -> None:
    env = {"KFP_PACHYDERM_ADDRESS": "grpc://env:1", "KFP_PACHYDERM_CA": "/nowhere/ca.pem"}
    assert addresses.from_environment(None, env).ca is None


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(PachydermUnreachableError, match=f"no Pachyderm answers at grpc://127.0.0.1:{port}"):
        connect(addresses.parse(f"127.0.0.1:{port}"), timeout=0.3)


def test_somebody_else_listens() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(PachydermUnreachableError, match="not as Pachyderm does"):
            connect(addresses.parse(f"127.0.0.1:{port}"), timeout=PATIENCE)
    finally:
        server.stop(None).wait()


def test_somebody_accepts_and_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(PachydermUnreachableError, match=r"within 0\.5 s"):
            connect(addresses.parse(f"127.0.0.1:{port}"), timeout=0.5)


def test_sdk_is_loaded_lean_and_the_whole_one_still_works() -> None:
    code = (
        "import sys; from kfp_pachyderm.pachd.sdk import pfs; assert 'requests' not in sys.modules;"
        "import pachyderm_sdk; from pachyderm_sdk.api import pfs as whole; assert whole is pfs;"
        "assert pachyderm_sdk.Client.from_pachd_address('grpc://localhost:1');"
        "assert pfs.Repo.from_uri('a').type == 'user'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
