"""A stream of unknown length."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any


class Pieces(io.RawIOBase):
    """A stream whose length nobody knows."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._pieces, b"")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size
