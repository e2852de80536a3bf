"""Writes lines to the step's log. It never raises: the reader of stdout may be gone."""

from __future__ import annotations

import contextlib
import os

_PREFIX = "[kfp-pachyderm] "
#: Moves to the line's beginning and erases the line (ECMA-48 CR and EL).
_WIPE = "\r\x1b[K"


def say(text: str) -> None:
    """Writes one line of progress to stderr."""
    _write(2, f"{_PREFIX}{text}\n")


def announce(text: str) -> None:
    """Writes one line that scripts may look for to stdout."""
    _write(1, f"{_PREFIX}{text}\n")


def redraw(text: str) -> None:
    """Replaces the terminal's last line by a text, on stderr."""
    _write(2, f"{_WIPE}{_PREFIX}{text}")


def wipe() -> None:
    """Erases what `redraw` wrote."""
    _write(2, _WIPE)


def _write(descriptor: int, text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, text.encode())
