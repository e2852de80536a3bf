"""Objects on disk until they are in the output commit: written once, shared, gone with their last user."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from kfp_pachyderm.s3.errors import S3Error

_PIECE = 2**20


class Content(Protocol):
    """What is written into the spool."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" at the end."""


class SpoolFile:
    """A piece of content that does not change any more.

    Args:
        path: where it lies.
        size: bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start`, in pieces of 1 MiB."""
        with self.path.open("rb", buffering=0) as source:
            source.seek(start)
            while length > 0:
                piece = source.read(min(length, _PIECE))
                if not piece:
                    raise EOFError(f"{self.path} is shorter than it was")
                length -= len(piece)
                yield piece


def read_files(files: tuple[SpoolFile, ...], start: int, length: int) -> Iterator[bytes]:
    """`length` bytes from `start` of several files, taken as one."""
    for file in files:
        here = min(max(file.size - start, 0), length)
        if here:
            yield from file.read(start, here)
        start = max(start - file.size, 0)
        length -= here


class Spool:
    """A private folder that takes a bounded number of bytes.

    Args:
        folder: made when missing.
        limit: bytes.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._limit = limit
        self._used = 0
        self._freed: deque[int] = deque()
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def write(self, content: Content) -> SpoolFile:
        """All of the content as a file.

        Raises:
            S3Error: EntityTooLarge when the spool is full.
        """
        path = self._folder / f"{next(self._numbers):08x}"
        size = 0
        try:
            with path.open("xb", buffering=0) as target:
                while piece := content.read(_PIECE):
                    self._take(len(piece))
                    size += len(piece)
                    target.write(piece)
        except BaseException:
            self._remove(path, size)
            raise
        file = SpoolFile(path, size)
        weakref.finalize(file, self._remove, path, size).atexit = False
        return file

    def _take(self, size: int) -> None:
        with self._lock:
            while self._freed:
                self._used -= self._freed.popleft()
            if self._used + size > self._limit:
                raise S3Error(
                    "EntityTooLarge",
                    f"the step has written more than its spool's limit of {self._limit} bytes: "
                    "raise the limit, or write less",
                )
            self._used += size

    def _remove(self, path: Path, size: int) -> None:
        path.unlink(missing_ok=True)
        # a finalizer may run in a thread that holds the lock
        self._freed.append(size)
