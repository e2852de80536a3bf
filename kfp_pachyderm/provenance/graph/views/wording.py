"""Facts of a lineage in words and numbers, the same in every view."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime
from typing import Any

from kfp_pachyderm.provenance.record import Hashed, StepRecord

#: What stands before the state of a commit that looks so (`graph.model.look`).
SIGNS = {"failed": "✗ ", "cached": "↺ ", "unknown": "? "}


def size(count: float | None) -> str:
    """A number of bytes with a unit; "" for None."""
    if count is None:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float | None) -> str:
    """A time span in seconds, minutes or hours; "" for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(time: datetime | None) -> str:
    """A time, to the second (Pachyderm's times are UTC); "" for None."""
    return time.strftime("%Y-%m-%d %H:%M:%S") if time else ""


def plain(text: str) -> str:
    """The text as one line without control characters and without marks that change the text's direction.

    Otherwise a person who may write a commit's metadata could move a reader's cursor, or reverse a line.
    """
    return "".join(
        one if one.isprintable() and not _turns(one) else "\N{REPLACEMENT CHARACTER}" for one in text
    )


def _turns(one: str) -> bool:
    return unicodedata.bidirectional(one) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def width(text: str) -> int:
    """The number of columns that a text takes on a terminal."""
    return sum(_columns(one) for one in text)


def _columns(one: str) -> int:
    if unicodedata.combining(one):
        return 0
    return 2 if unicodedata.east_asian_width(one) in "WF" else 1


def fitted(text: str, columns: int) -> str:
    """The text; one that takes more columns is cut and ends with "…"."""
    if width(text) <= columns:
        return text
    kept, taken = "", 1
    for one in text:
        taken += _columns(one)
        if taken > columns:
            break
        kept += one
    return f"{kept}…" if columns > 0 else ""


_MADE_BY = {
    "source": "data",
    "gathered": "gathered for one input",
    "pipeline": "pipeline of others",
    "unknown": "unknown",
}


def made_by(kind: str, record: StepRecord | None) -> str:
    """Which step, pipeline or person made a commit, in a few words."""
    if record:
        task = record.task
        run = f", run {task.run}" if task.run else ""
        of = f" of {task.pipeline}" if task.pipeline else ""
        return plain(f"{task.task or task.component}{of}{run}")
    return _MADE_BY.get(kind, "")


def parameters(record: StepRecord | None) -> list[tuple[str, str]]:
    """The step's parameters and their values."""
    if record is None:
        return []
    code = record.code
    given = [(plain(name), plain(_value(value))) for name, value in code.parameters.items()]
    return given + [(plain(name), "not recorded: private") for name in code.private]


def _value(value: Any) -> str:
    if isinstance(value, Hashed):
        return f"{value.digest}, {size(value.size)}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
