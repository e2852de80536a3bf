"""Lineages of deep and wide graphs in a long history: calls for each commit, and times as ratios."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.provenance import history
from kfp_pachyderm.provenance.graph import assemble
from kfp_pachyderm.provenance.graph.lineage import Lineage
from kfp_pachyderm.provenance.graph.views.html import page
from tests.provenance.calls import counted
from tests.provenance.histories import History, chain, layered

#: Jobs of history, steps of the deep lineage, layers and breadth of the wide one.
JOBS = int(os.environ.get("KFP_PACHYDERM_BENCH_JOBS", "10000"))
DEEP, LAYERS, BREADTH = 200, 40, 50


def _fill(folder: Path) -> tuple[str, str, str]:
    """Makes a history; returns the last commits of the deep and the wide lineage, and their source."""
    with EmbeddedServer(folder) as server, History(server) as made:
        deep, wide = chain(made, DEEP, "deep"), layered(made, LAYERS, BREADTH, "wide")
        source = made.data()
        for number in range(JOBS - DEEP - LAYERS * BREADTH):
            made.step(f"old-{number % 20}", [source], f"run-{number // 20}")
    return str(deep), str(wide), str(source)


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    found = call()
    return found, time.perf_counter() - began


def _lineage(address: str, of: str, **options: Any) -> tuple[Lineage, Counter[str], float]:
    pachd, calls = counted(address)
    with pachd:
        found, seconds = _timed(lambda: assemble.lineage(pachd, of, **options))
    return found, calls, seconds


def _one_by_one(pachd: Pachd, found: Lineage) -> float:
    """Seconds of the yardstick: one InspectCommit for each commit, one after the other."""
    return _timed(lambda: [commit_facts.inspect(pachd, one.commit) for one in found.nodes])[1]


def measure() -> dict[str, float]:
    """Title → figure. Seconds hold for this machine only, ratios for any."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        deep, wide, source = _fill(Path(folder))
        with start(Path(folder)) as server, connect(parse(server.address)) as pachd:
            for name, of, options in (
                (f"{DEEP} steps deep", deep, {}),
                ("2,000 ancestors", wide, {}),
                ("down from the source of a history", source, {"down": True}),
                ("a KFP run's ID in a history", "run-1", {}),
            ):
                found, calls, seconds = _lineage(server.address, of, **options)
                figures[f"{name}: commits"] = len(found.nodes)
                figures[f"{name}: calls"] = calls.total()
                figures[f"{name}: calls for each commit"] = calls.total() / len(found.nodes)
                figures[f"{name}: seconds"] = seconds
                figures[f"{name}: time / asked one by one"] = seconds / _one_by_one(pachd, found)
            figures[f"runs out of {JOBS} jobs: seconds"] = _timed(lambda: history.runs(pachd, "default", 20))[
                1
            ]
            found, _, _ = _lineage(server.address, wide)
            figures["page of 2,000 commits: MiB"] = len(page(found)) / 2**20
    return figures
