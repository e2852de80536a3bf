"""A bounded disk cache of input content. It never needs to be refreshed: an input's commit can't change."""

from __future__ import annotations

import itertools
import threading
import weakref
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from kfp_pachyderm.adapter.disk.spool import SpoolFile
from kfp_pachyderm.protocol.pfs_messages import CommitName

#: Bytes of the longest read that is kept. Longer reads mostly copy whole objects once, and would push out
#: what is read several times.
_LONGEST = 16 * 2**20
#: Bytes of the shortest fetch: a shorter read fetches that much, and the next read finds it in the cache.
#: Pachyderm answers in messages of about that size.
_SHORTEST = 2**20

#: Names a cached file: its commit, its path, and its size in bytes.
Name = tuple[CommitName, str, int]
Fetch = Callable[[int, int], Iterator[bytes]]


@dataclass(frozen=True)
class _Extent:
    start: int
    file: SpoolFile

    @property
    def end(self) -> int:
        return self.start + self.file.size


def _from_disk(extents: list[_Extent], start: int, length: int) -> Iterator[bytes]:
    """Yields `length` bytes from `start` of extents that follow each other without a gap."""
    for extent in extents:
        here = min(extent.end - start, length)
        yield from extent.file.read(start - extent.start, here)
        start, length = start + here, length - here


def _first(length: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if length <= 0:
            return
        yield piece[:length]
        length -= len(piece)


def _kept_whole(target: FileIO, piece: bytes) -> bool:
    """Writes a piece, and tells whether all of it was written. A full disk does not fail the read."""
    try:
        return target.write(piece) == len(piece)
    except OSError:
        return False


class ReadCache:
    """Keeps extents (ranges of files) on disk, and removes the least recently used ones first.

    It is safe for many threads.

    Args:
        folder: a folder private to the step, made if it is missing.
        limit: the most bytes that the cache keeps.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._extents: OrderedDict[tuple[Name, int], _Extent] = OrderedDict()
        self._starts: dict[Name, list[int]] = {}

    def read(self, name: Name, start: int, length: int, fetch: Fetch) -> Iterator[bytes]:
        """Yields `length` bytes from `start`: from the cache, or by `fetch`, whose result it keeps."""
        found = self._find(name, start, length)
        if found:
            return _from_disk(found, start, length)
        if not length or length > min(_LONGEST, self._limit):
            return fetch(start, length)
        more = min(max(length, _SHORTEST), self._limit, name[2] - start)
        return self._kept(name, start, length, fetch(start, more))

    def _find(self, name: Name, start: int, length: int) -> list[_Extent]:
        """Returns the extents that hold the whole range; none if any part of it is missing."""
        found, end = list[_Extent](), start + length
        with self._lock:
            starts = self._starts.get(name, [])
            while start < end:
                before = bisect_right(starts, start) - 1
                extent = self._extents[name, starts[before]] if before >= 0 else None
                if extent is None or extent.end <= start:
                    return []
                found.append(extent)
                start = extent.end
            for extent in found:
                self._extents.move_to_end((name, extent.start))
        return found

    def _kept(self, name: Name, start: int, length: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        path = self._folder / f"{next(self._numbers):08x}"
        size = 0
        with path.open("xb", buffering=0) as target:
            file = SpoolFile(path, 0)
            weakref.finalize(file, path.unlink, missing_ok=True).atexit = False
            for piece in pieces:
                if size < length:
                    yield piece[: length - size]
                size += len(piece)
                if not _kept_whole(target, piece):
                    yield from _first(length - size, pieces)
                    return
        file.size = size
        self._keep(name, _Extent(start, file))

    def _keep(self, name: Name, extent: _Extent) -> None:
        with self._lock:
            self._drop(name, extent.start)
            self._extents[name, extent.start] = extent
            insort(self._starts.setdefault(name, []), extent.start)
            self._used += extent.file.size
            while self._used > self._limit:
                self._drop(*next(iter(self._extents)))

    def _drop(self, name: Name, start: int) -> None:
        """Forgets an extent. Its file is deleted once nobody reads it any more."""
        extent = self._extents.pop((name, start), None)
        if extent:
            starts = self._starts[name]
            del starts[bisect_left(starts, start)]
            self._used -= extent.file.size
