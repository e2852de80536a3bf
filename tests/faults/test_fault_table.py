"""Every fault of the table, at the same time on one server; and docs/faults.md says what came of them.

`make faults` writes the page; KFP_PACHYDERM_TEST_ALL=1 runs the rows that take longer, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from kfp_pachyderm.embedded.process import EmbeddedProcess, start
from tests.faults.fault_page import listed, wanted, write
from tests.faults.fault_rows import ROWS, Row
from tests.faults.fault_trial import Outcome, Trial, plain
from tests.faults.yardstick import PAUSE, Yardstick

ALL = bool(os.environ.get("KFP_PACHYDERM_TEST_ALL"))
WRITE = bool(os.environ.get("KFP_PACHYDERM_WRITE_FAULTS"))
#: Trials at once: they wait more than they work.
AT_ONCE = 6


def _run(row: Row, server: EmbeddedProcess, folder: Path, yardstick: Yardstick) -> Outcome:
    folder.mkdir()
    if row.own_server:
        with start(folder / "pachyderm") as own, Trial(own, folder, yardstick) as trial:
            return _drive(row, trial)
    with Trial(server, folder, yardstick) as trial:
        return _drive(row, trial)


def _drive(row: Row, trial: Trial) -> Outcome:
    row.inject(trial)
    return trial.drive()


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Row, Future[Outcome]]]:
    """The outcomes of the rows that this session asks for."""
    folder = tmp_path_factory.mktemp("faults")
    calls = [one.callspec.params for one in request.session.items if hasattr(one, "callspec")]
    asked = [params["row"] for params in calls if isinstance(params.get("row"), Row)]
    with (
        start(folder / "pachyderm") as server,
        Yardstick() as yardstick,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        running = {
            row: pool.submit(_run, row, server, folder / str(at), yardstick) for at, row in enumerate(asked)
        }
        yield running
        pool.shutdown(cancel_futures=True)
    if WRITE:
        write({row: future.result() for row, future in running.items()})


@pytest.mark.parametrize("row", [row for row in ROWS if ALL or not row.slow], ids=str)
def test_fault(row: Row, outcomes: dict[Row, Future[Outcome]]) -> None:
    outcome = outcomes[row].result()
    print(outcome)
    assert (outcome.jobs, outcome.output) == (row.jobs, row.output)
    assert str(outcome.step) in row.step.split(" or ")
    assert re.search(row.message, plain(outcome.message)), plain(outcome.message)
    assert outcome.left == []
    # on a machine that does nothing else: the lease and ten seconds
    assert outcome.rounds <= (row.lease + 10) / PAUSE


@pytest.mark.skipif(WRITE, reason="this run writes the page")
def test_the_page_lists_these_faults_and_outcomes() -> None:
    assert listed() == wanted(ROWS)
