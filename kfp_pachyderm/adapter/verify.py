"""The look into the output commit: names, sizes and content are what the step wrote."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kfp_pachyderm.adapter.config import CommitName
from kfp_pachyderm.adapter.objects import Stored
from kfp_pachyderm.adapter.remote import Found

if TYPE_CHECKING:
    from kfp_pachyderm.adapter.pfs import Pfs

#: Pachyderm keeps a smaller file in one chunk (src/internal/storage/fileset/storage.go,
#: DefaultBatchThreshold), so that its hash can be told beforehand.
SMALL = 1_000_000
#: Reading back is bound by the other side's time for each file, then by MD5.
_READERS = 4


def fingerprint(content: bytes) -> bytes:
    """The hash that Pachyderm gives a file of less than SMALL bytes (src/internal/storage/fileset/util.go).

    It is recorded in the gateway's vectors as the ETag of small objects.
    """
    chunk = hashlib.blake2b(content, digest_size=32).digest()
    return hashlib.blake2b(chunk, digest_size=32).digest()


def content(file: Stored) -> bytes:
    """All of a small object."""
    return b"".join(file.read(0, file.size))


class Verifier:
    """Remembers what has been verified, so that a later look reads only what is new.

    Args:
        pfs: the connection; what another one has shown does not count.
    """

    def __init__(self, pfs: Pfs) -> None:
        self._pfs = pfs
        self._verified: dict[str, Stored] = {}

    def differing(self, name: CommitName, files: list[Stored], timeout: float) -> list[Stored]:
        """Those of the files that the commit does not hold, or with another size or content."""
        found = {one.path: one for one in self._pfs.walk(name, timeout)}
        unknown = [file for file in files if not self._is_known(file, found.get("/" + file.key))]
        with ThreadPoolExecutor(_READERS) as readers:
            equal = list(readers.map(lambda file: self._reads_equal(name, file, found, timeout), unknown))
        self._verified = {file.key: file for file in files}
        wrong = [file for file, same in zip(unknown, equal, strict=True) if not same]
        for file in wrong:
            del self._verified[file.key]
        return wrong

    def _is_known(self, file: Stored, found: Found | None) -> bool:
        if found is None or found.size != file.size:
            return False
        return not file.size or self._verified.get(file.key) is file or _has_fingerprint(file, found)

    def _reads_equal(self, name: CommitName, file: Stored, found: dict[str, Found], timeout: float) -> bool:
        there = found.get("/" + file.key)
        return there is not None and there.size == file.size and self._compare(name, file, timeout)

    def _compare(self, name: CommitName, file: Stored, timeout: float) -> bool:
        """Reads the file back and compares it with what the client sent, upload part by upload part."""
        pieces = self._pfs.read(name, "/" + file.key, 0, file.size, timeout)
        rest = memoryview(b"")
        for size, md5 in file.digests:
            digest = hashlib.md5(usedforsecurity=False)
            while size:
                rest = rest or memoryview(next(pieces))
                digest.update(rest[:size])
                taken = min(size, len(rest))
                size, rest = size - taken, rest[taken:]
            if digest.digest() != md5:
                return False
        return True


def _has_fingerprint(file: Stored, found: Found) -> bool:
    # what has left the spool would be read from the very place that is to be checked
    return file.spooled and file.size < SMALL and fingerprint(content(file)) == found.hash
