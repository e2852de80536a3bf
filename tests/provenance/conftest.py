"""One embedded Pachyderm for all tests of graphs; each history has a project of its own in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from histories import History  # type: ignore[import-not-found]

from kfp_pachyderm.embedded.server import EmbeddedServer

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("embedded")) as running:
        yield running


@pytest.fixture
def history(server: EmbeddedServer) -> History:
    """A new, empty history in a project of its own; the test fills it in a with block."""
    return History(server, f"project-{next(_numbers)}")
