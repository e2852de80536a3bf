"""Every client, with its defaults and the step's environment, through the adapter into a job's commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.clients.run import CLIENTS, Bed
from benchmarks.matrix import client_version
from tests.long import long

#: The clients that put 200 MiB: one of each kind; with KFP_PACHYDERM_TEST_ALL in the environment, all of
#: them.
SLOW = {"awscli", "gsutil", "s3cmd", "obstore", "mountpoint"}
LARGE = CLIENTS if os.environ.get("KFP_PACHYDERM_TEST_ALL") else ["boto3", "pyarrow"]


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with Bed(tmp_path_factory.mktemp("bed")) as made:
        yield made


def _client(name: str) -> Any:
    """The client, if it is installed. gsutil has a venv of its own, which `make unit` makes."""
    if name in SLOW:
        return pytest.param(name, marks=long)
    return pytest.param(
        name, marks=[] if client_version(name) else pytest.mark.skip(reason="make .venv/.gsutil")
    )


@pytest.mark.parametrize("client", [*map(_client, CLIENTS)])
def test_client(bed: Bed, client: str) -> None:
    results = bed.through_adapter(client, CLIENT_LARGE_MIB="200" if client in LARGE else "24")
    assert results
    assert {name: result for name, result in results.items() if result != "ok"} == {}
