"""One file of a commit, as Pachyderm lists it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileEntry:
    """One file.

    Args:
        path: its path, which starts with "/".
        size: bytes.
        hash: Pachyderm's hash of its content, hexadecimal.
    """

    path: str
    size: int
    hash: str
