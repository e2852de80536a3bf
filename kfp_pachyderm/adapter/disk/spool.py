"""Objects on disk until they are in the output commit: written once, shared, gone with their last user."""

from __future__ import annotations

import errno
import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from kfp_pachyderm.s3.errors import S3Error

_PIECE = 2**20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LOOK = 0.1


class Content(Protocol):
    """What is written into the spool."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; b"" at the end."""


class SpoolFile:
    """A piece of content; it grows until it has been written, and does not change any more.

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


def reader(*files: SpoolFile) -> partial[Iterator[bytes]]:
    """Reads spool files as one object; holds on to them."""
    return partial(read_files, files)


class Spool:
    """A private folder that takes a bounded number of bytes.

    Args:
        folder: made when missing.
        limit: bytes.
        patience: seconds that a write waits for room.
    """

    def __init__(self, folder: Path, limit: int, patience: float = 300.0) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._limit = limit
        self._used = 0
        self._freed: deque[int] = deque()
        self._patience = patience
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._pressed = threading.Event()
        self._numbers = itertools.count()

    def write(self, content: Content, grown: Callable[[SpoolFile], None] = lambda _: None) -> SpoolFile:
        """All of the content as a file.

        Args:
            content: the content.
            grown: told of the file whenever more of it can be read.

        Raises:
            S3Error: EntityTooLarge when the spool is full and stays so.
        """
        file = SpoolFile(self._folder / f"{next(self._numbers):08x}", 0)
        taken = 0
        try:
            with file.path.open("xb") as target:
                while piece := content.read(_PIECE):
                    self._take(len(piece), taken + len(piece))
                    taken += len(piece)
                    target.write(piece)
                    target.flush()
                    file.size = taken
                    grown(file)
        except BaseException as error:
            self._remove(file.path, taken)
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise self._disk_full(error) from error
            raise
        weakref.finalize(file, self._remove, file.path, taken).atexit = False
        return file

    def _take(self, size: int, whole: int) -> None:
        """Room for `size` more bytes of a content that has `whole` by then; waits for the sending."""
        deadline = time.monotonic() + self._patience
        with self._lock:
            while not self._fits(size):
                left = deadline - time.monotonic()
                if whole > self._limit or left <= 0:
                    raise self._full()
                self._pressed.set()
                # finalizers, which make room, must not take the lock: they can't wake anybody
                self._room.wait(min(left, _LOOK))
            self._used += size

    def _fits(self, size: int) -> bool:
        while self._freed:
            self._used -= self._freed.popleft()
        return self._used + size <= self._limit

    def _full(self) -> S3Error:
        return S3Error(
            "EntityTooLarge",
            f"the step has written more than its spool's limit of {self._limit} bytes, and Pachyderm did not "
            "take enough of it: raise KFP_PACHYDERM_SPOOL_MIB in the step's environment, or write less",
        )

    def _disk_full(self, error: OSError) -> S3Error:
        return S3Error(
            "EntityTooLarge",
            f"no room for what the step has written in {self._folder}: {error.strerror}; give the step more "
            "ephemeral storage, or point TMPDIR to a volume",
        )

    def pressed(self, timeout: float) -> bool:
        """Whether, within `timeout` seconds, a write waits for room."""
        found = self._pressed.wait(timeout)
        self._pressed.clear()
        return found

    def _remove(self, path: Path, size: int) -> None:
        path.unlink(missing_ok=True)
        # a finalizer may run in a thread that holds the lock
        self._freed.append(size)
