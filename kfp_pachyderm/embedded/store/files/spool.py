"""Cuts a stream's content into the chunks that Pachyderm would cut, and puts them into the chunk store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial

from kfp_pachyderm.embedded.store.files.chunks import SMALL, Chunks, Growing, digest, reference
from kfp_pachyderm.protocol.file_hash import Cutter

#: Bytes of small chunks that one stream keeps in memory.
SPILL = 8 * 2**20
#: Bytes that are gathered before they are cut; more than the 1 MB up to which Pachyderm never cuts a file.
_PIECE = 2**20
#: Chunks that may be syncing to disk while more of the stream comes.
_SYNCING = 4


class Spool:
    """Takes bytes in any pieces and cuts them into chunks; memory stays at a few pieces.

    Args:
        chunks: gets the large chunks.
        spill: gets the small chunks when many have gathered.
    """

    def __init__(self, chunks: Chunks, spill: Callable[[dict[bytes, bytes]], None]) -> None:
        self._chunks = chunks
        self._spill = spill
        self._small_size = 0
        self._small: dict[bytes, bytes] = {}
        self._syncing: list[Future[None]] = []
        self._pending = bytearray()
        self._begin(b"")

    def _begin(self, refs: bytes) -> None:
        self._refs = bytearray(refs)
        self._cutter = Cutter()
        self._growing = Growing(self._chunks)
        self._cutting: Future[None] | None = None

    @property
    def small(self) -> dict[bytes, bytes]:
        """Small chunks that were not spilled, and have to be stored with the files."""
        return self._small

    def write(self, data: bytes | memoryview) -> None:
        """Adds to the current file."""
        view = memoryview(data)
        while len(view):
            room = _PIECE - len(self._pending)
            self._pending += view[:room]
            view = view[room:]
            if len(self._pending) == _PIECE:
                self._cut_beside()

    def end_file(self) -> bytes:
        """Ends the current file; returns the references of its chunks."""
        if not self._refs and not self._cutting and len(self._pending) <= SMALL:
            return self._end_small()
        self._cut_beside()
        self._wait()
        # A large file always has a last chunk, which is empty if nothing is left.
        self._cut()
        refs = bytes(self._refs)
        self._begin(b"")
        return refs

    def _end_small(self) -> bytes:
        data = bytes(self._pending)
        self._pending = bytearray()
        return self._keep_small(digest(data), data) if data else b""

    def join(
        self, chunks: list[tuple[bytes, int]], unsure: set[int], read: Callable[[bytes], Iterable[bytes]]
    ) -> bytes:
        """References of a file of several parts, cut as if the file had come at once.

        Only what follows a part's end is cut again, until a new chunk ends where an old one does (Pachyderm
        src/internal/storage/chunk/uploader.go, align).

        Args:
            chunks: hash and size of all parts' chunks.
            unsure: positions of the chunks that end only because their part ends.
            read: returns the content of references.
        """
        self._begin(b"")
        at = 0
        while at < len(chunks):
            if at in unsure:
                at = self._cut_again(chunks, at, read)
            else:
                self._refs += reference(*chunks[at])
                at += 1
        refs = bytes(self._refs)
        self._begin(b"")
        return refs

    def _cut_again(
        self,
        chunks: list[tuple[bytes, int]],
        start: int,
        read: Callable[[bytes], Iterable[bytes]],
    ) -> int:
        """Cuts again from the chunk at `start`; returns the position from which the old chunks fit again."""
        self._cutter = Cutter()
        for at in range(start, len(chunks)):
            for piece in read(reference(*chunks[at])):
                self._grow(memoryview(piece))
            # what ends where a chunk does, be it a part, has nothing behind it to be cut again
            if not self._growing.size:
                return at + 1
        self._cut()
        return len(chunks)

    def _cut_beside(self) -> None:
        """Has another thread cut and write what was gathered, while more of the file comes."""
        piece, self._pending = self._pending, bytearray()
        self._wait()
        self._cutting = self._chunks.beside(partial(self._grow, memoryview(piece)))

    def _wait(self) -> None:
        if self._cutting:
            self._cutting.result()

    def _grow(self, data: memoryview) -> None:
        start = 0
        for end in self._cutter.cuts(data):
            self._growing.write(data[start:end])
            self._cut()
            start = end
        self._growing.write(data[start:])

    def _cut(self) -> None:
        growing, self._growing = self._growing, Growing(self._chunks)
        if growing.size <= SMALL:
            self._refs += self._keep_small(growing.hash(), bytes(growing.small))
            return
        hash_, syncing = self._chunks.keep(growing)
        self._refs += reference(hash_, growing.size)
        if syncing:
            self._syncing.append(syncing)
        if len(self._syncing) > _SYNCING:
            self._syncing.pop(0).result()

    def _keep_small(self, hash_: bytes, data: bytes) -> bytes:
        self._small[hash_] = data
        self._small_size += len(data)
        if self._small_size > SPILL:
            self._spill(self._small)
            self._small = {}
            self._small_size = 0
        return reference(hash_, len(data))

    def settle(self) -> None:
        """Waits until every chunk file is synced to disk."""
        for syncing in self._syncing:
            syncing.result()
        self._syncing.clear()
