"""Reads what a program wrote to a terminal."""

from __future__ import annotations

import os
import select

from tests.waiting import PATIENCE


def read_line(terminal: int) -> str:
    """Reads until the end of the first line has arrived; the kernel passes output on in pieces.

    Args:
        terminal: the file descriptor of the pseudo-terminal's master side.
    """
    text = b""
    while not text.endswith(b"\n"):
        assert select.select([terminal], [], [], PATIENCE)[0], text
        text += os.read(terminal, 65536)
    return text.decode()
