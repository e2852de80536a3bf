"""Verification: compares the output commit's names, sizes and contents with what the step wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.adapter.sidecar.expected_hashes import Expected, digest_of
from kfp_pachyderm.protocol.file_hash import SMALL, small
from kfp_pachyderm.protocol.pfs_messages import CommitName, Found
from kfp_pachyderm.s3.content.digests import Digests

#: Threads that read back. Pachyderm's time for each file limits them at first, then the digests do.
_READERS = 4
#: Up to so many objects are inspected one by one, more are listed by WalkFile. Pachyderm computes the hash of
#: a file that filled a stream's memory anew for each request, and WalkFile needs it for the folder, too
#: (src/server/pfs/server/source.go).
_FEW = 4
#: Bytes of an object of several parts that one thread reads back at once.
_RUN = 64 * 2**20


def content(file: Stored) -> bytes:
    """Returns the whole content of a small object."""
    return b"".join(file.read(0, file.size))


class Readable(Protocol):
    """The calls of a connection that verification needs; timeouts are in seconds."""

    def inspect(self, name: CommitName, path: str, timeout: float | None = None) -> Found | None:
        """Returns the file at the path, None if there is none."""

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        """Yields every file of the commit."""

    def read(
        self, name: CommitName, path: str, start: int, length: int, timeout: float | None = None
    ) -> Iterator[bytes]:
        """Yields `length` bytes of a file from `start`."""


class Verifier:
    """Verifies objects in the output commit. It remembers them, so that a later call reads only new ones.

    Args:
        remote: the connection. What another connection has verified does not count.
        contents: whether contents are compared, not only names and sizes.
    """

    def __init__(self, remote: Readable, contents: bool = True) -> None:
        self._remote = remote
        self._contents = contents
        self._expected = Expected()
        self._verified: dict[str, Stored] = {}

    def prepare(self, files: Iterable[Stored]) -> None:
        """Starts to compute the expected hashes of files that are about to be sent."""
        if self._contents:
            self._expected.prepare(files)

    def differing(self, name: CommitName, files: list[Stored], timeout: float) -> list[Stored]:
        """Returns the files that are missing from the commit, or have another size or content there."""
        self.prepare(file for file in files if self._verified.get(file.key) is not file)
        found = {one.path: one for one in self._found(name, files, timeout)}
        sized = [file for file in files if _has_size(file, found.get("/" + file.key))]
        unknown = [file for file in sized if not self._is_known(file, found["/" + file.key])]
        runs = [run for file in unknown for run in _runs(file)]
        with ThreadPoolExecutor(_READERS) as readers:
            equal = list(readers.map(lambda run: self._reads_equal(name, run, timeout), runs))
        changed = {run.file.key for run, same in zip(runs, equal, strict=True) if not same}
        self._verified = {file.key: file for file in sized if file.key not in changed}
        self._expected.keep(files)
        return [file for file in files if file.key not in self._verified]

    def _found(self, name: CommitName, files: list[Stored], timeout: float) -> Iterable[Found]:
        if len(files) > _FEW:
            return self._remote.walk(name, timeout)
        return filter(None, [self._remote.inspect(name, "/" + file.key, timeout) for file in files])

    def _is_known(self, file: Stored, found: Found) -> bool:
        return (
            not (self._contents and file.size)
            or self._verified.get(file.key) is file
            or self._has_hash(file, found)
        )

    def _has_hash(self, file: Stored, found: Found) -> bool:
        """Tells whether Pachyderm reports the expected hash.

        If not, the content may still be right: `file_hash` says when Pachyderm gives a file another hash.
        """
        if file.size >= SMALL:
            return self._expected.of(file) == found.hash
        # content that has left the spool would be read from the commit that is being verified
        return file.spooled and small(content(file)) == found.hash

    def _reads_equal(self, name: CommitName, run: _Run, timeout: float) -> bool:
        """Reads pieces of a file back, and tells whether their digests are those of what the client sent."""
        length = sum(piece.size for piece in run.pieces)
        content = self._remote.read(name, "/" + run.file.key, run.start, length, timeout)
        rest = memoryview(b"")
        for piece in run.pieces:
            digest, left = digest_of(piece), piece.size
            digests = Digests(digest)
            while left:
                rest = rest or memoryview(next(content))
                digests.update(rest[:left])
                taken = min(left, len(rest))
                left, rest = left - taken, rest[taken:]
            digests.settle()
            if digest.digest() != (piece.sha256 or piece.md5):
                return False
        return True


@dataclass(frozen=True)
class _Run:
    """Consecutive pieces of a file that one call reads back, and the offset of the first."""

    file: Stored
    start: int
    pieces: list[Piece]


def _runs(file: Stored) -> Iterator[_Run]:
    start, size, pieces = 0, 0, list[Piece]()
    for piece in file.pieces:
        pieces.append(piece)
        size += piece.size
        if size >= _RUN:
            yield _Run(file, start, pieces)
            start, size, pieces = start + size, 0, []
    if pieces:
        yield _Run(file, start, pieces)


def _has_size(file: Stored, found: Found | None) -> bool:
    return found is not None and found.size == file.size
