"""Content by its hash: small pieces inside SQLite, others as files, each stored once."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.errors import StoreError

CHUNK = 4 * 2**20
#: Up to here a piece lives inside SQLite: one fsync for thousands of them instead of one each.
SMALL = 64 * 2**10
#: Small pieces that one stream keeps in memory.
SPILL = 8 * 2**20
#: Chunks of one stream that are hashed while more of it comes.
_HASHED_BESIDE = 2
#: Pieces that readers get.
PIECE = 2**20

_REF = struct.Struct(">32sI")

#: A chunk's hash, and what to wait for unless it exists already.
Keeping = tuple[bytes, Future[None] | None]


def digest(data: bytes | bytearray | memoryview) -> bytes:
    """BLAKE2b-256, Pachyderm's hash (src/internal/pachhash)."""
    return hashlib.blake2b(data, digest_size=32).digest()


@dataclass(frozen=True)
class Content:
    """A file's content: its chunks, their total size and the hash that clients see."""

    size: int
    hash: bytes
    refs: bytes


def references(refs: bytes) -> list[tuple[bytes, int]]:
    """Hash and size of each chunk."""
    return list(_REF.iter_unpack(refs))


def content(refs: bytes) -> Content:
    """The content that these chunk references make up."""
    pairs = references(refs)
    hash_ = digest(b"".join(hash_ for hash_, _ in pairs))
    return Content(sum(size for _, size in pairs), hash_, refs)


class Chunks:
    """The chunk folder.

    Args:
        folder: holds `<2 hex digits>/<64 hex digits>`; made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} can't be written: {error}. Give a data folder that can") from error
        self._hashers = ThreadPoolExecutor(2, "chunk-hasher")
        self._writers = ThreadPoolExecutor(2, "chunk-writer")
        self._lock = threading.Lock()
        #: What is being written: a file may lie in its place already and not yet be safe.
        self._writing: dict[bytes, Future[None]] = {}
        #: Chunks whose file was compared with its hash since this process started.
        self._verified: set[bytes] = set()

    def close(self) -> None:
        """Waits for what is being written."""
        self._hashers.shutdown()
        self._writers.shutdown()

    def path(self, hash_: bytes) -> Path:
        """Where the chunk of this hash lies."""
        name = hash_.hex()
        return self.folder / name[:2] / name

    def store_beside(self, data: bytes) -> Future[Keeping]:
        """As `store`, which takes most of its time for the hash, in another thread."""
        return self._hashers.submit(self.store, data)

    def store(self, data: bytes) -> Keeping:
        """Starts to write one chunk."""
        hash_ = digest(data)
        with self._lock:
            writing = self._writing.get(hash_)
            if writing is None and not self.path(hash_).exists():
                writing = self._writing[hash_] = self._writers.submit(self._write, hash_, data)
        return hash_, writing

    def _write(self, hash_: bytes, data: bytes) -> None:
        path = self.path(hash_)
        temporary = path.with_name(f"{path.name}.tmp")
        try:
            if not path.parent.exists():
                path.parent.mkdir(exist_ok=True)
                _sync_folder(self.folder)
            with temporary.open("wb", buffering=0) as file:
                _write_all(file, data)
                os.fdatasync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise Refused(f"chunk {path.name} can't be written: {error}", "RESOURCE_EXHAUSTED") from error
        finally:
            with self._lock:
                del self._writing[hash_]
        self._verified.add(hash_)

    def read(self, db: sqlite3.Connection, refs: bytes, offset: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `offset` of the content with these references, in pieces of at most 1 MiB."""
        for hash_, size in _REF.iter_unpack(refs):
            if length <= 0:
                return
            if offset >= size:
                offset -= size
                continue
            take = min(length, size - offset)
            yield from self._read_chunk(db, hash_, size, offset, take)
            length -= take
            offset = 0

    def _read_chunk(
        self, db: sqlite3.Connection, hash_: bytes, size: int, offset: int, length: int
    ) -> Iterator[bytes]:
        if size <= SMALL:
            row = db.execute("SELECT data FROM small_chunks WHERE hash = ?", (hash_,)).fetchone()
            if row is None or digest(row[0]) != hash_:
                raise Refused(f"chunk {hash_.hex()} is missing or damaged", "DATA_LOSS")
            yield row[0][offset : offset + length] if length != size else row[0]
            return
        try:
            with self.path(hash_).open("rb", buffering=0) as file:
                self._verify(file, hash_)
                file.seek(offset)
                while length:
                    piece = file.read(min(PIECE, length))
                    if not piece:
                        raise Refused(f"chunk {hash_.hex()} is shorter than {size} bytes", "DATA_LOSS")
                    length -= len(piece)
                    yield piece
        except OSError as error:
            raise Refused(f"chunk {hash_.hex()} can't be read: {error}", "DATA_LOSS") from error

    def _verify(self, file: FileIO, hash_: bytes) -> None:
        if hash_ in self._verified:
            return
        if hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).digest() != hash_:
            raise Refused(f"chunk {hash_.hex()} is damaged: its content does not fit its hash", "DATA_LOSS")
        self._verified.add(hash_)


class Spool:
    """Takes bytes in any pieces and cuts them into chunks; memory stays at a few chunks.

    Args:
        chunks: where large ones go.
        spill: takes small ones when many have gathered.
    """

    def __init__(self, chunks: Chunks, spill: Callable[[dict[bytes, bytes]], None]) -> None:
        self._chunks = chunks
        self._spill = spill
        self._small_size = 0
        self._refs = bytearray()
        self._pending = bytearray()
        self._small: dict[bytes, bytes] = {}
        self._hashed: deque[Future[Keeping]] = deque()
        self._writes: list[Future[None]] = []

    @property
    def small(self) -> dict[bytes, bytes]:
        """Chunks that must go into SQLite with the files."""
        return self._small

    def write(self, data: bytes | memoryview) -> None:
        """Adds to the current file."""
        view = memoryview(data)
        while len(view):
            room = CHUNK - len(self._pending)
            self._pending += view[:room]
            view = view[room:]
            if len(self._pending) == CHUNK:
                self._cut_whole()

    def end_file(self) -> bytes:
        """References of what was written since the last call."""
        while self._hashed:
            self._take_hashed()
        if self._pending:
            self._cut()
        refs = bytes(self._refs)
        self._refs.clear()
        return refs

    def _cut_whole(self) -> None:
        """A large file's chunk is hashed while the next one comes."""
        self._hashed.append(self._chunks.store_beside(bytes(self._pending)))
        self._pending = bytearray()
        if len(self._hashed) > _HASHED_BESIDE:
            self._take_hashed()

    def _take_hashed(self) -> None:
        hash_, write = self._hashed.popleft().result()
        self._follow(write)
        self._refs += _REF.pack(hash_, CHUNK)

    def _cut(self) -> None:
        data = bytes(self._pending)
        self._pending = bytearray()
        if len(data) <= SMALL:
            hash_ = digest(data)
            self._keep_small(hash_, data)
        else:
            hash_, write = self._chunks.store(data)
            self._follow(write)
        self._refs += _REF.pack(hash_, len(data))

    def _keep_small(self, hash_: bytes, data: bytes) -> None:
        self._small[hash_] = data
        self._small_size += len(data)
        if self._small_size > SPILL:
            self._spill(self._small)
            self._small = {}
            self._small_size = 0

    def _follow(self, write: Future[None] | None) -> None:
        if write is None:
            return
        self._writes.append(write)
        if len(self._writes) > 4:
            self._writes.pop(0).result()

    def settle(self) -> None:
        """Returns when every chunk file is safe on disk."""
        for write in self._writes:
            write.result()
        self._writes.clear()


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        # A nearly full disk takes a part first; the rest then fails with a reason.
        rest = rest[file.write(rest) :]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
