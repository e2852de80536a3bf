"""Lines for the person who reads the step's log; never an exception, whoever reads stdout may be gone."""

from __future__ import annotations

import contextlib
import os

_PREFIX = "[kfp-pachyderm] "
#: To the line's beginning, then all of it away (ECMA-48 CR and EL).
_WIPE = "\r\x1b[K"


def say(text: str) -> None:
    """One line of progress, on stderr."""
    _write(2, f"{_PREFIX}{text}\n")


def announce(text: str) -> None:
    """One line on stdout that scripts may look for."""
    _write(1, f"{_PREFIX}{text}\n")


def redraw(text: str) -> None:
    """A text in the place of the terminal's last line, on stderr."""
    _write(2, f"{_WIPE}{_PREFIX}{text}")


def wipe() -> None:
    """Takes away what `redraw` wrote."""
    _write(2, _WIPE)


def _write(descriptor: int, text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, text.encode())
