"""Every client, with its defaults and the step's environment, through the adapter into a real job's commit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.clients.run import CLIENTS, Bed


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with Bed(tmp_path_factory.mktemp("bed")) as made:
        yield made


@pytest.mark.parametrize("client", CLIENTS)
def test_client(bed: Bed, client: str) -> None:
    results = bed.through_adapter(client)
    assert results
    assert {name: result for name, result in results.items() if result != "ok"} == {}
