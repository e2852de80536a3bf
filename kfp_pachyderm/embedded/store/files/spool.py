"""A stream's content on its way into the chunk store, cut into the chunks that Pachyderm would cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial

from kfp_pachyderm.embedded.store.files.chunks import SMALL, Chunks, Growing, digest, reference
from kfp_pachyderm.protocol.file_hash import Cutter

#: Small chunks that one stream keeps in memory.
SPILL = 8 * 2**20
#: What is gathered before it is looked through; larger than what Pachyderm keeps in one chunk anyway.
_PIECE = 2**20
#: Chunks that are made safe while more of the stream comes.
_SETTLING = 4


class Spool:
    """Takes bytes in any pieces and cuts them into chunks; memory stays at a few pieces.

    Args:
        chunks: where large ones go.
        spill: takes small ones when many have gathered.
    """

    def __init__(self, chunks: Chunks, spill: Callable[[dict[bytes, bytes]], None]) -> None:
        self._chunks = chunks
        self._spill = spill
        self._small_size = 0
        self._small: dict[bytes, bytes] = {}
        self._settling: list[Future[None]] = []
        self._pending = bytearray()
        self._begin(b"")

    def _begin(self, refs: bytes) -> None:
        self._refs = bytearray(refs)
        self._cutter = Cutter()
        self._growing = Growing(self._chunks)
        self._under_way: Future[None] | None = None

    @property
    def small(self) -> dict[bytes, bytes]:
        """Chunks that must go into SQLite with the files."""
        return self._small

    def write(self, data: bytes | memoryview) -> None:
        """Adds to the current file."""
        view = memoryview(data)
        while len(view):
            room = _PIECE - len(self._pending)
            self._pending += view[:room]
            view = view[room:]
            if len(self._pending) == _PIECE:
                self._pass_on()

    def end_file(self) -> bytes:
        """References of what was written since the last call."""
        if not self._refs and not self._under_way and len(self._pending) <= SMALL:
            return self._end_small()
        self._pass_on()
        self._wait()
        # a large file has a last chunk even when nothing is left for it
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
        """References of a file of several parts, cut as if all of it had come at once.

        Only what follows a part's end is cut again, until ends of chunks fall together (Pachyderm
        src/internal/storage/chunk/uploader.go, align).

        Args:
            chunks: of all parts, hashes and sizes.
            unsure: positions of those that end because their part does.
            read: the content of references.
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
        """Where what is cut already can be taken again."""
        self._cutter = Cutter()
        for at in range(start, len(chunks)):
            for piece in read(reference(*chunks[at])):
                self._grow(memoryview(piece))
            # what ends where a chunk does, be it a part, has nothing behind it to be cut again
            if not self._growing.size:
                return at + 1
        self._cut()
        return len(chunks)

    def _pass_on(self) -> None:
        """A large file is looked through and written while more of it comes."""
        piece, self._pending = self._pending, bytearray()
        self._wait()
        self._under_way = self._chunks.beside(partial(self._grow, memoryview(piece)))

    def _wait(self) -> None:
        if self._under_way:
            self._under_way.result()

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
        hash_, settling = self._chunks.keep(growing)
        self._refs += reference(hash_, growing.size)
        if settling:
            self._settling.append(settling)
        if len(self._settling) > _SETTLING:
            self._settling.pop(0).result()

    def _keep_small(self, hash_: bytes, data: bytes) -> bytes:
        self._small[hash_] = data
        self._small_size += len(data)
        if self._small_size > SPILL:
            self._spill(self._small)
            self._small = {}
            self._small_size = 0
        return reference(hash_, len(data))

    def settle(self) -> None:
        """Returns when every chunk file is safe on disk."""
        for settling in self._settling:
            settling.result()
        self._settling.clear()
