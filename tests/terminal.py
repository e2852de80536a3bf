"""What a program wrote to a terminal."""

from __future__ import annotations

import os
import select

from tests.waiting import PATIENCE


def read_line(terminal: int) -> str:
    """All that has come by the first line's end; the kernel hands it on in pieces.

    Args:
        terminal: the file descriptor of the terminal's other side.
    """
    text = b""
    while not text.endswith(b"\n"):
        assert select.select([terminal], [], [], PATIENCE)[0], text
        text += os.read(terminal, 65536)
    return text.decode()
