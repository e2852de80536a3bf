"""Real steps, and a server that takes their events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lineage_server import LineageServer, lineage_server  # type: ignore[import-not-found]

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect
from tests.launcher.launcher_steps import Runner, numbers


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start(tmp_path_factory.mktemp("pachyderm")) as running:
        yield running.address


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither this machine's user nor this folder has configured OpenLineage."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def step(address: str, tmp_path: Path) -> Iterator[Runner]:
    with connect(parse(address)) as pachd:
        name = f"{next(numbers)}-2026-01-02-03-04-05-678901"
        runner = Runner(address, pachd, tmp_path / name)
        runner.folder = runner.folder / runner.name
        runner.folder.mkdir(parents=True)
        yield runner
        for process in runner.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def lineage() -> Iterator[LineageServer]:
    with lineage_server() as server:
        yield server
