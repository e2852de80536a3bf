"""One embedded Pachyderm for all tests of the room; each test has a project of its own in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_bench import Bench

from kfp_pachyderm.embedded.process import EmbeddedProcess, start

_numbers = itertools.count()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedProcess]:
    with start(tmp_path_factory.mktemp("embedded")) as process:
        yield process


@pytest.fixture
def bench(embedded: EmbeddedProcess) -> Bench:
    return Bench(embedded.address, f"test-{next(_numbers)}")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[EmbeddedProcess]:
    """A server of one's own, for tests that end it."""
    with start(tmp_path / "data") as process:
        yield process
