"""The files of a commit as a record keeps them: one digest over all, and each file where they are few."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from kfp_pachyderm.pachd.commits.file_entry import FileEntry

#: Bytes that paths and hashes may take in a record. Of a longer list the record keeps the digest alone.
LISTED = 32 * 2**10


@dataclass(frozen=True)
class FileList:
    """The files of one commit.

    Args:
        digest: "sha256:…" over a line for each file, in Pachyderm's order: path, bytes and hash, a NUL byte
            between them, a newline at the end.
        count: number of files.
        size: bytes of all files together.
        listed: the files; None: they are too many for a record.
    """

    digest: str
    count: int
    size: int
    listed: tuple[FileEntry, ...] | None = None


def file_list(files: Iterable[FileEntry]) -> FileList:
    """The `FileList` of files that come in Pachyderm's order."""
    digest, count, size, room, kept = hashlib.sha256(), 0, 0, LISTED, list[FileEntry]()
    for one in files:
        digest.update(f"{one.path}\0{one.size}\0{one.hash}\n".encode())
        count, size, room = count + 1, size + one.size, room - len(one.path) - len(one.hash)
        if room >= 0:
            kept.append(one)
    listed = tuple(kept) if room >= 0 else None
    return FileList(f"sha256:{digest.hexdigest()}", count, size, listed)
