"""The segments of a large object: ranges that go into a file set each, found while the object grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import is_
from typing import Any

from kfp_pachyderm.adapter.disk.spool import SpoolFile, read_files
from kfp_pachyderm.protocol.file_hash import LARGEST, FileHash

#: The most bytes of a file set. Pachyderm collects each in memory, in a buffer that doubles
#: (src/internal/storage/fileset/buffer.go), before it cuts the content into chunks and stores them.
SEGMENT = 120 * 2**20


@dataclass(eq=False)
class Segment:
    """A range of an object's content, which goes into one file set.

    Args:
        files: the spool files that hold the whole content, in order.
        start: the offset of the segment's first byte in the content.
        size: bytes.
        taken: bytes that have been read for sending.
    """

    files: tuple[SpoolFile, ...]
    start: int
    size: int
    taken: int = 0


def read_segment(segment: Segment) -> Iterator[bytes]:
    """Yields the segment's content, in pieces of at most 1 MiB, and counts them in `taken`."""
    segment.taken = 0
    for piece in read_files(segment.files, segment.start, segment.size):
        segment.taken += len(piece)
        yield piece


class SegmentFinder:
    """Hashes a content as it grows: its Pachyderm hash, the SHA-256 of its files, the ends of its segments.

    Segments end where Pachyderm's chunks end. If a segment ended elsewhere, Pachyderm would cut the file into
    chunks again from there on when it puts the segments together (src/internal/storage/chunk/uploader.go,
    align), up to the file's end if the content never marks the end of a chunk.
    """

    def __init__(self) -> None:
        self.hash = FileHash()
        self.ends: list[int] = []
        self._files: list[SpoolFile] = []
        self._offset = 0
        self._digests: list[Any] = []

    def fits(self, files: tuple[SpoolFile, ...]) -> bool:
        """Tells whether a content of these files begins with the files that have been hashed."""
        begun = files[: len(self._files)]
        return len(begun) == len(self._files) and all(map(is_, begun, self._files))

    def take(self, files: tuple[SpoolFile, ...]) -> Iterator[None]:
        """Hashes the content that is new, and yields after each piece. Only the last file may still grow.

        Raises:
            ImportError: neither wasmtime nor numpy is installed.
            OSError, EOFError: the content can't be read.
        """
        for file in files[max(len(self._files) - 1, 0) :]:
            if file not in self._files[-1:]:
                self._files.append(file)
                self._digests.append(hashlib.sha256())
                self._offset = 0
            for piece in file.read(self._offset, file.size - self._offset):
                self._digests[-1].update(piece)
                self._cut(piece)
                self._offset += len(piece)
                yield

    def _cut(self, piece: bytes) -> None:
        for end in self.hash.update(piece):
            if end - (self.ends[-1] if self.ends else 0) > SEGMENT - LARGEST:
                self.ends.append(end)

    def segments(self, files: tuple[SpoolFile, ...], whole: bool) -> list[Segment]:
        """Returns the complete segments; with `whole` also the last one, which ends with the content."""
        ends = [0, *self.ends]
        if whole and self.hash.size > ends[-1]:
            ends.append(self.hash.size)
        return [Segment(files, start, end - start) for start, end in pairwise(ends)]

    @property
    def digests(self) -> list[bytes]:
        """The SHA-256 of each file."""
        return [digest.digest() for digest in self._digests]
