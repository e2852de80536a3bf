"""One embedded Pachyderm for all of the launcher's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from launcher_steps import Runner, numbers  # type: ignore[import-not-found]

from kfp_pachyderm.embedded.process import EmbeddedProcess, start
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedProcess]:
    with start(tmp_path_factory.mktemp("pachyderm")) as running:
        yield running


@pytest.fixture(scope="session")
def server(embedded: EmbeddedProcess) -> str:
    return embedded.address


@pytest.fixture
def pachd(server: str) -> Iterator[Pachd]:
    with connect(parse(server)) as one:
        yield one


@pytest.fixture
def step(server: str, pachd: Pachd, tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(server, pachd, tmp_path / f"{next(numbers)}-2026-01-02-03-04-05-678901")
    runner.folder = runner.folder / runner.name
    runner.folder.mkdir(parents=True)
    yield runner
    runner.kill_all()
