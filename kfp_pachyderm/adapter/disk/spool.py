"""The spool: the content of the output bucket's objects on disk.

A file is written once. Objects, parts and copies share it. It is deleted when nothing refers to it any more.
"""

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
    """A source of content that is written into the spool."""

    def read(self, size: int, /) -> bytes:
        """Returns the next piece, b"" at the end; `size` bytes is a wish, not a bound."""


class SpoolFile:
    """A file of the spool. It grows while it is written, and does not change afterwards.

    Args:
        path: its path on disk.
        size: bytes that can be read by now.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """Yields `length` bytes from `start`, in pieces of at most 1 MiB.

        Raises:
            EOFError: the file on disk is shorter than that.
        """
        with self.path.open("rb", buffering=0) as source:
            source.seek(start)
            while length > 0:
                piece = source.read(min(length, _PIECE))
                if not piece:
                    raise EOFError(f"{self.path} is shorter than it was")
                length -= len(piece)
                yield piece


def read_files(files: tuple[SpoolFile, ...], start: int, length: int) -> Iterator[bytes]:
    """Yields `length` bytes from `start` of several files, read as if they were one."""
    for file in files:
        here = min(max(file.size - start, 0), length)
        if here:
            yield from file.read(start, here)
        start = max(start - file.size, 0)
        length -= here


def reader(*files: SpoolFile) -> partial[Iterator[bytes]]:
    """Returns an object's `Reader` for its spool files; it keeps the files from being deleted."""
    return partial(read_files, files)


class Spool:
    """A private folder that holds a bounded number of bytes.

    Args:
        folder: the folder, made if it is missing.
        limit: the most bytes that it holds.
        patience: the longest time that a write waits for room, in seconds.
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
        """Writes all of the content into a new file.

        Args:
            content: the content.
            grown: called with the file whenever more of it can be read.

        Raises:
            S3Error: EntityTooLarge when the spool, or the disk, stays full.
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
        """Reserves room for `size` bytes; waits until delivery to Pachyderm has made room.

        Args:
            size: bytes to reserve.
            whole: bytes of the whole content so far, with `size`: more than the limit never fits.
        """
        deadline = time.monotonic() + self._patience
        with self._lock:
            while not self._fits(size):
                left = deadline - time.monotonic()
                if whole > self._limit or left <= 0:
                    raise self._full()
                self._pressed.set()
                # room is made by finalizers, which must not take the lock, so they can't notify this
                # condition
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
        """Tells whether a write has to wait for room; waits up to `timeout` seconds for that."""
        found = self._pressed.wait(timeout)
        self._pressed.clear()
        return found

    def _remove(self, path: Path, size: int) -> None:
        path.unlink(missing_ok=True)
        # no lock here: a finalizer may run in a thread that holds it already
        self._freed.append(size)
