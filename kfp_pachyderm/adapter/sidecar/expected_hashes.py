"""The hashes that Pachyderm must give large objects, told from the spool beside the sending."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.staged_object import hasher, stages
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.protocol.file_hash import SMALL, FileHash


class Expected:
    """Knows what hash a content must have, whoever's name it has and wherever it lies by then."""

    def __init__(self) -> None:
        self._hashes: dict[str, tuple[tuple[Piece, ...], Future[bytes | None]]] = {}

    def prepare(self, files: Iterable[Stored]) -> None:
        """Starts to hash those that are large and still lie in the spool."""
        for file in files:
            if file.spooled and file.size >= SMALL and not self._known(file):
                self._drop(file.key)
                self._hashes[file.key] = (file.pieces, hasher().submit(told, file))

    def _drop(self, key: str) -> None:
        """An object that has been written over is not hashed, and its content not held, for nothing."""
        if key in self._hashes:
            self._hashes.pop(key)[1].cancel()

    def _known(self, file: Stored) -> Future[bytes | None] | None:
        pieces, found = self._hashes.get(file.key, ((), None))
        # what has left the spool is another object with the same pieces
        return found if pieces is file.pieces else None

    def of(self, file: Stored) -> bytes | None:
        """The hash, as soon as it is there; None: it can't be told."""
        known = self._known(file)
        return known.result() if known else None

    def keep(self, files: Iterable[Stored]) -> None:
        """Forgets all but these."""
        for key in self._hashes.keys() - {file.key for file in files}:
            self._drop(key)


def told(file: Stored) -> bytes | None:
    """The hash of what the client sent; None without numpy, and if the spool holds something else by now."""
    try:
        return file.staged.hash(file.pieces) if file.staged and stages(file.size) else _hash(file)
    except (ImportError, OSError, EOFError):
        # what can't be sent either says so there
        return None


def _hash(file: Stored) -> bytes | None:
    whole, content = FileHash(), file.read(0, file.size)
    rest = memoryview(b"")
    for piece in file.pieces:
        digest, left = digest_of(piece), piece.size
        while left:
            rest = rest or memoryview(next(content))
            whole.update(rest[:left])
            digest.update(rest[:left])
            taken = min(left, len(rest))
            left, rest = left - taken, rest[taken:]
        if digest.digest() != (piece.sha256 or piece.md5):
            return None
    return whole.digest()


def digest_of(piece: Piece) -> Any:
    """Of the two, SHA-256 is twice as fast on today's machines."""
    return hashlib.sha256() if piece.sha256 else hashlib.md5(usedforsecurity=False)
