"""Prints the results of commands: tables for people, JSON for programs, colours on terminals only."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

#: The option of commands that print by `written`.
file_option = click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file, not the terminal.",
)


def columns() -> int | None:
    """Returns the terminal's width in columns; None where the output goes into a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def coloured(text: str, colour: str | None) -> str:
    """Returns the text in a colour, on a terminal without NO_COLOR (no-color.org)."""
    wanted = colour and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return click.style(text, fg=colour) if wanted else text


def as_json(data: Any) -> None:
    """Prints JSON."""
    click.echo(json.dumps(data, indent=2))


def table(rows: Sequence[Sequence[str]], colours: Sequence[str | None] = ()) -> None:
    """Prints aligned columns; a terminal's lines are cut to its width.

    Args:
        rows: the titles, then the rows.
        colours: the colours of the rows after the titles.
    """
    from kfp_pachyderm.provenance.graph.views.wording import fitted, plain, width

    shown = [[plain(cell) for cell in row] for row in rows]
    widths = [max(width(row[at]) for row in shown) for at in range(len(shown[0]))]
    room = columns()
    for row, colour in zip(shown, [None, *colours, *[None] * len(shown)], strict=False):
        cells = (cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True))
        line = "  ".join(cells).rstrip()
        click.echo(coloured(line if room is None else fitted(line, room), colour))


def written(text: str, file: Path | None) -> None:
    """Writes a text to a file, or prints it."""
    if file is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    file.write_text(text, encoding="utf-8")
    click.echo(f"written to {file}", err=True)


def told(lines: Sequence[str]) -> None:
    """Prints warnings on the standard error: what could not be examined."""
    for line in lines:
        click.echo(f"warning: {line}", err=True)
