"""docs/faults.md: the table of faults as the tests found it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.faults.fault_rows import Row
from tests.faults.fault_trial import LEASE, Outcome, plain

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
_HEAD = """\
# Faults, and what comes of them

Written by `make faults`, from the tests in `tests/faults`: each line is a real step (launcher, adapter,
holder and the user's command as processes) on an embedded Pachyderm, with one thing broken. The holder's
lease is {lease:g} s there (`HolderOptions(lease=)`, 30 s unless it is given), its wait for the step twice
that; where the server has to start again, and where a line says so, it is longer.

- *step*: the exit code that KFP sees.
- *job*: the states of the Pachyderm jobs that the step had; several of them mean that the launcher began
  again by itself, because the command had not begun.
- *output*: `whole` is every byte of every file, compared; `failed` is a commit with an error, which no step
  takes as input.
- *s*: from the fault until both step and job had ended, on the machine that wrote this page. What the tests
  bound is the number of rounds that a yardstick makes meanwhile (`tests/faults/yardstick.py`).
- *the user reads*: the last line of the launcher in the step's log; where that was killed, of the job's.
- In no line a process of the step or of its job was left behind, or a transaction open.

What is not the user's fault is made good by the launcher itself wherever the command need not run twice:
before it has begun the job is claimed anew, afterwards what it wrote is sent again to the job's next holder.
Otherwise the step fails, and a new attempt of KFP's is a new job on the same commits.

## Errors of Pachyderm's that pass

pachd makes `UNKNOWN` of errors of its database, its storage and its own connections, and of a client's
deadline that it meets first. `kfp_pachyderm/protocol/transient_errors.py` has the table of those that
pass, with the place in Pachyderm's source for each. Whatever only looks is asked again, for as long as
pachd may be away: the
lease and 2 s in a step, 60 s in a snapshot or component. A transaction whose fate is not known is deleted
before another is made, so that there is one job. An `UNKNOWN` that is in no table is told once in the log
and borne as long in a wait; where something was to be changed it ends the step.
`tests/faults/test_answers.py` answers every call of a step and of the components wrongly once, having done
the work or not, and at random: all of them succeed.

A step that waits says each reason once. A pipeline that crashes has 120 s to recover; then all that it
said stands in the error, with how often.

## The table

| fault | when | step | job | output | s | the user reads |
|---|---|---|---|---|---|---|
"""


def _columns(row: Row) -> tuple[str, ...]:
    return row.fault, row.when, row.step, row.jobs, row.output


def write(outcomes: Mapping[Row, Outcome]) -> None:
    """Writes the page."""
    lines = []
    for row, one in outcomes.items():
        seconds = "" if one.seconds is None else f"{one.seconds:.1f}"
        cells = (*_columns(row), seconds, plain(one.message).replace("|", "\\|"))
        lines.append(f"| {' | '.join(cells)} |\n")
    PAGE.write_text(_HEAD.format(lease=LEASE) + "".join(lines))


def listed() -> list[tuple[str, ...]]:
    """The faults and outcomes that the page lists."""
    table = PAGE.read_text().partition("|---|")[2].splitlines()[1:]
    return [tuple(cell.strip() for cell in line.split("|")[1:6]) for line in table]


def wanted(rows: list[Row]) -> list[tuple[str, ...]]:
    """What it has to list."""
    return [_columns(row) for row in rows]
