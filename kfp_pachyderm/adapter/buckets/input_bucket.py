"""An input bucket: one finished commit, which can't change, read by the connection to the sidecar."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import partial

from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.read_cache import ReadCache
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.protocol.pfs_messages import CommitName, Found

_ATTEMPTS = 3
_MD5_OF_NOTHING = "d41d8cd98f00b204e9800998ecf8427e"


def _etag(found: Found) -> str:
    """Returns Pachyderm's hash as an ETag with a dash: clients take an ETag without a dash for an MD5."""
    return f"{found.hash.hex()}-1" if found.size else _MD5_OF_NOTHING


def _plain(key: str) -> bool:
    """Tells whether the key is a path that Pachyderm does not normalize: it would find another file."""
    return bool(key) and all(part not in ("", ".", "..") for part in key.split("/"))


class InputBucket:
    """A read-only bucket.

    Args:
        sidecar: the connection by which the commit is read.
        cache: keeps content that has been read.
        commit: the commit that the bucket is pinned to.
        encoded: whether the commit's file names are encoded keys, so that every key is possible.
    """

    def __init__(self, sidecar: Sidecar, cache: ReadCache, commit: CommitName, encoded: bool = False) -> None:
        self._sidecar = sidecar
        self._cache = cache
        self.commit = commit
        self._encoded = encoded
        self._lock = threading.Lock()
        self._keys: list[str] = []
        self._listing: dict[str, Stored] | None = None

    def _stored(self, found: Found) -> Stored:
        path, fetch = found.path, partial(self._read, found.path)

        def read(start: int, length: int) -> Iterator[bytes]:
            return self._cache.read((self.commit, path, found.size), start, length, fetch)

        return Stored(path[1:], found.size, _etag(found), found.committed, read, spooled=False)

    def _read(self, path: str, start: int, length: int) -> Iterator[bytes]:
        """Reads the file, and continues after a broken connection: the commit can't have changed."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                for piece in self._sidecar.remote().read(self.commit, path, start, length):
                    start, length = start + len(piece), length - len(piece)
                    yield piece
            except CallFailedError as error:
                if not left or not error.temporary:
                    raise
            else:
                return

    def _loaded(self) -> dict[str, Stored]:
        with self._lock:
            if self._listing is None:
                found = self._sidecar.remote().walk(self.commit)
                listing = {stored.key: stored for stored in map(self._stored, found)}
                self._keys = sorted(listing)
                self._listing = listing
            return self._listing

    def find(self, key: str) -> Stored | None:
        """Returns the object of that key, None if there is none."""
        if not key or not (self._encoded or _plain(key)):
            return None
        if self._listing is not None:
            return self._listing.get(key)
        found = self._sidecar.remote().inspect(self.commit, "/" + key)
        return self._stored(found) if found else None

    def walk(self, prefix: str, after: str) -> Iterator[Stored]:
        """Yields the objects whose key starts with `prefix` and is greater than `after`, in order."""
        listing = self._loaded()
        start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        for index in range(start, len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                return
            yield listing[key]
