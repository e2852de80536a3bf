"""One embedded Pachyderm for each test of gc, which looks at all of it, and real steps on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from tests.launcher.launcher_steps import Runner, numbers


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with EmbeddedServer(tmp_path / "data", 0) as running:
        yield running.address


@pytest.fixture
def pachd(server: str) -> Iterator[Pachd]:
    with connect(parse(server)) as one:
        yield one


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of the test and its steps alone."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def step(server: str, pachd: Pachd, tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(server, pachd, tmp_path / f"{next(numbers)}-2026-01-02-03-04-05-678901")
    runner.folder = runner.folder / runner.name
    runner.folder.mkdir(parents=True)
    yield runner
    runner.kill_all()
