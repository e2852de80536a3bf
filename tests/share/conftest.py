"""An embedded Pachyderm with auth on, which other hosts can reach, too; and steps on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect
from tests.embedded.embedded_auth import ROOT, server
from tests.launcher.launcher_steps import Runner, numbers
from tests.other_hosts import Hosts, other_hosts


@pytest.fixture(scope="session")
def hosts() -> Iterator[Hosts]:
    with other_hosts(2) as found:
        yield found


@pytest.fixture(scope="session")
def address(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pachyderm")
    token = {"KFP_PACHYDERM_ROOT_TOKEN": ROOT}
    with server(folder, "--auth", "--host", "0.0.0.0", **token) as found:
        # a step finds its own address by the route to pachd's address
        yield f"grpc://{hosts.here}:{found.rpartition(':')[2]}"


@pytest.fixture
def step(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    monkeypatch.setenv("KFP_PACHYDERM_TOKEN", ROOT)
    with connect(parse(address, ROOT)) as pachd:
        runner = Runner(address, pachd, tmp_path / f"{next(numbers)}-2026-01-02-03-04-05-678901")
        runner.folder = runner.folder / runner.name
        runner.folder.mkdir(parents=True)
        yield runner
        runner.kill_all()
