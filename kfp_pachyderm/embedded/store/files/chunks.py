"""Chunks of content, each stored once under its hash: small ones in SQLite, others as files."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.errors import StoreError
from kfp_pachyderm.protocol.file_hash import blake2b, whole

#: Chunks up to this many bytes are kept in SQLite: one fsync for thousands of them instead of one each.
SMALL = 64 * 2**10
#: Bytes of the largest piece that a reader gets.
PIECE = 2**20

_REF = struct.Struct(">32sI")


def digest(data: bytes | bytearray | memoryview) -> bytes:
    """Pachyderm's hash of a chunk."""
    hash_: bytes = blake2b(data).digest()
    return hash_


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
    return Content(sum(size for _, size in pairs), whole([hash_ for hash_, _ in pairs]), refs)


def reference(hash_: bytes, size: int) -> bytes:
    """The reference to one chunk."""
    return _REF.pack(hash_, size)


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
        #: Chunks that are being written. A chunk's file may have its name before that name is on disk.
        self._writing: dict[bytes, Future[None]] = {}
        #: Chunks whose file was compared with its hash since this process started.
        self._verified: set[bytes] = set()

    def close(self) -> None:
        """Waits until all chunks are written."""
        self._hashers.shutdown()
        self._writers.shutdown()

    def path(self, hash_: bytes) -> Path:
        """The path of the chunk with this hash."""
        name = hash_.hex()
        return self.folder / name[:2] / name

    def beside(self, work: Callable[[], None]) -> Future[None]:
        """Runs `work` in another thread; it should spend most of its time without the GIL."""
        return self._hashers.submit(work)

    def keep(self, growing: Growing) -> tuple[bytes, Future[None] | None]:
        """Starts to sync a chunk to disk; returns its hash and what to wait for, None if it is on disk."""
        hash_ = growing.hash()
        with self._lock:
            writing = self._writing.get(hash_)
            if writing is None and not self.path(hash_).exists():
                writing = self._writing[hash_] = self._writers.submit(self._settle, hash_, growing)
                return hash_, writing
        growing.discard()
        return hash_, writing

    def _settle(self, hash_: bytes, growing: Growing) -> None:
        path = self.path(hash_)
        try:
            self.make_parent(path)
            growing.move(path)
            _sync_folder(path.parent)
        except OSError as error:
            growing.discard()
            raise unwritable(path, error) from error
        finally:
            with self._lock:
                del self._writing[hash_]
        self._verified.add(hash_)

    def make_parent(self, path: Path) -> None:
        """Makes the folder of a chunk's file when missing."""
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            _sync_folder(self.folder)

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
        if hashlib.file_digest(file, blake2b).digest() != hash_:
            raise Refused(f"chunk {hash_.hex()} is damaged: its content does not fit its hash", "DATA_LOSS")
        self._verified.add(hash_)


class Growing:
    """A chunk whose content is still coming: in memory while it is small, then in a temporary file.

    Args:
        chunks: the chunk folder.
    """

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._digest = blake2b()
        self._path = chunks.path(os.urandom(32)).with_suffix(".tmp")
        self._file: FileIO | None = None
        self._drop: weakref.finalize[..., Growing] | None = None
        self.small = bytearray()
        self.size = 0

    def write(self, data: memoryview) -> None:
        """Appends to the chunk."""
        self._digest.update(data)
        self.size += len(data)
        if self.size <= SMALL:
            self.small += data
            return
        try:
            if self._file is None:
                self._chunks.make_parent(self._path)
                self._file = self._path.open("xb", buffering=0)
                # A stream may break off at any point; its temporary file goes with this object.
                self._drop = weakref.finalize(self, _remove, self._file, self._path)
                _write_all(self._file, self.small)
            _write_all(self._file, data)
        except OSError as error:
            self.discard()
            raise unwritable(self._path, error) from error

    def hash(self) -> bytes:
        """The hash of what was written."""
        hash_: bytes = self._digest.digest()
        return hash_

    def move(self, path: Path) -> None:
        """Syncs the temporary file to disk and renames it to `path`."""
        assert self._file
        os.fdatasync(self._file.fileno())
        self._path.replace(path)
        self.discard()

    def discard(self) -> None:
        """Closes the temporary file, and removes it unless `move` has renamed it."""
        if self._drop:
            self._drop()


def _remove(file: FileIO, path: Path) -> None:
    file.close()
    path.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> Refused:
    """The refusal of content that can't be written."""
    return Refused(f"chunk {path.name} can't be written: {error}", "RESOURCE_EXHAUSTED")


def _write_all(file: FileIO, data: bytes | bytearray | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        # A nearly full disk takes only a part; writing the rest then fails with a reason.
        rest = rest[file.write(rest) :]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
