"""Computes the hashes that Pachyderm must report for large objects, from the spool, while they are sent."""

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
    """The expected hashes of objects, by key.

    A hash stays known after its object's content has left the spool.
    """

    def __init__(self) -> None:
        self._hashes: dict[str, tuple[tuple[Piece, ...], Future[bytes | None]]] = {}

    def prepare(self, files: Iterable[Stored]) -> None:
        """Starts to hash the objects that are large and whose content is in the spool."""
        for file in files:
            if file.spooled and file.size >= SMALL and not self._known(file):
                self._drop(file.key)
                self._hashes[file.key] = (file.pieces, hasher().submit(told, file))

    def _drop(self, key: str) -> None:
        """Forgets a key's hash: nobody needs that of an overwritten object, and hashing holds its content."""
        if key in self._hashes:
            self._hashes.pop(key)[1].cancel()

    def _known(self, file: Stored) -> Future[bytes | None] | None:
        pieces, found = self._hashes.get(file.key, ((), None))
        # content that has left the spool is a new `Stored` with the same pieces, so pieces are compared
        return found if pieces is file.pieces else None

    def of(self, file: Stored) -> bytes | None:
        """Waits for the object's hash and returns it; None if it can't be computed."""
        known = self._known(file)
        return known.result() if known else None

    def keep(self, files: Iterable[Stored]) -> None:
        """Forgets the hashes of all other objects."""
        for key in self._hashes.keys() - {file.key for file in files}:
            self._drop(key)


def told(file: Stored) -> bytes | None:
    """Computes the Pachyderm hash of the content that the client sent.

    Returns:
        The hash; None if it can't be computed for lack of wasmtime and numpy, or the spool does not hold what
        the client sent.
    """
    try:
        return file.staged.hash(file.pieces) if file.staged and stages(file.size) else _hash(file)
    except (ImportError, OSError, EOFError):
        # content that can't be read can't be sent either, and sending raises the error
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
    """Returns a new digest of the kind that the piece has; SHA-256 if it has both, which is twice as fast."""
    return hashlib.sha256() if piece.sha256 else hashlib.md5(usedforsecurity=False)
