"""A fresh embedded Pachyderm for each test module, and a connection to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("pachyderm")
    with start(folder) as server:
        yield server.address


@pytest.fixture
def pachd(address: str) -> Iterator[Pachd]:
    with connect(parse(address)) as one:
        yield one
