"""The look into the output commit: names, sizes and content are what the step wrote."""

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

#: Reading back is bound by the other side's time for each file, then by the digest.
_READERS = 4
#: Objects that are asked for one by one: Pachyderm finds the hash of what filled a stream's memory anew each
#: time, and a walk wants it for the folder, too (src/server/pfs/server/source.go).
_FEW = 4
#: Bytes of one object that a reader takes at once, if the object came in parts.
_RUN = 64 * 2**20


def content(file: Stored) -> bytes:
    """All of a small object."""
    return b"".join(file.read(0, file.size))


class Readable(Protocol):
    """What a look into the commit needs of a connection; deadlines are in seconds."""

    def inspect(self, name: CommitName, path: str, timeout: float | None = None) -> Found | None:
        """The file at the path; None when there is none."""

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        """Every file of the commit."""

    def read(
        self, name: CommitName, path: str, start: int, length: int, timeout: float | None = None
    ) -> Iterator[bytes]:
        """`length` bytes of a file from `start`."""


class Verifier:
    """Remembers what has been verified, so that a later look reads only what is new.

    Args:
        remote: the connection; what another one has shown does not count.
        contents: whether contents are compared, not names and sizes alone.
    """

    def __init__(self, remote: Readable, contents: bool = True) -> None:
        self._remote = remote
        self._contents = contents
        self._expected = Expected()
        self._verified: dict[str, Stored] = {}

    def prepare(self, files: Iterable[Stored]) -> None:
        """Says what is on its way, so that what it must become is known when it has arrived."""
        if self._contents:
            self._expected.prepare(files)

    def differing(self, name: CommitName, files: list[Stored], timeout: float) -> list[Stored]:
        """Those of the files that the commit does not hold, or with another size or content."""
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
        """Whether Pachyderm's hash tells; if not, it may still be right (`filehash` says when)."""
        if file.size >= SMALL:
            return self._expected.of(file) == found.hash
        # what has left the spool would be read from the very place that is to be checked
        return file.spooled and small(content(file)) == found.hash

    def _reads_equal(self, name: CommitName, run: _Run, timeout: float) -> bool:
        """Reads pieces of a file back and compares them with what the client sent."""
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
    """Pieces of a file that are read back at one go, and where they start."""

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
