"""One embedded Pachyderm for all tests of the room; each test has a project of its own in it.

With KFP_PACHYDERM_TEST_AUTH=1 the embedded Pachyderm has auth on, and the tests call it as root.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_auth import ROOT, server
from embedded_bench import AUTH, Bench

from kfp_pachyderm.embedded.process import EmbeddedProcess, start

_numbers = itertools.count()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedProcess]:
    folder = tmp_path_factory.mktemp("embedded")
    if AUTH:
        # Pachyderm's client reads this variable when it is given no token.
        os.environ["PACH_PYTHON_AUTH_TOKEN"] = ROOT
        with server(folder, "--auth", KFP_PACHYDERM_ROOT_TOKEN=ROOT):
            yield EmbeddedProcess(folder, json.loads((folder / "server.json").read_text()), None)
        return
    with start(folder) as process:
        yield process


@pytest.fixture
def bench(embedded: EmbeddedProcess) -> Bench:
    return Bench(embedded.address, f"test-{next(_numbers)}")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[EmbeddedProcess]:
    """A server for this test alone, which may end it."""
    with start(tmp_path / "data") as process:
        yield process
