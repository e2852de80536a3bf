"""Lines for the person who reads the step's log; never an exception, whoever reads stdout may be gone."""

from __future__ import annotations

import contextlib
import os


def say(text: str) -> None:
    """One line of progress, on stderr."""
    _write(2, text)


def announce(text: str) -> None:
    """One line on stdout that scripts may look for."""
    _write(1, text)


def _write(descriptor: int, text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(descriptor, f"[kfp-pachyderm] {text}\n".encode())
