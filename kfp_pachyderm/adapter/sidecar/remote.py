"""The interface of a connection to the job's commits, the same over gRPC and over S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.segments import Segment
from kfp_pachyderm.protocol.pfs_messages import CommitName, Found


class Remote(Protocol):
    """A connection to a job's commits. Every call may raise CallFailedError.

    It ends when nobody refers to it any more: a call that is under way in another thread keeps it.
    """

    address: str
    #: whether this connection can read the open output commit
    shows_output: bool

    @property
    def taken(self) -> int:
        """Bytes that the current `write` has sent so far, without objects that go in file sets."""

    def inspect(self, name: CommitName, path: str) -> Found | None:
        """Returns the file at the path, None if there is none."""

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        """Yields every file of the commit."""

    def read(self, name: CommitName, path: str, start: int, length: int) -> Iterator[bytes]:
        """Yields `length` bytes of a file from `start`."""

    def stage(self, name: CommitName, key: str, segment: Segment, first: bool) -> str:
        """Sends a segment of an object before the object is written; returns the file set's ID."""

    def renew(self, id_: str) -> bool:
        """Renews a file set that `stage` made; returns False if Pachyderm has forgotten it."""

    def write(self, name: CommitName, files: list[Stored], gone: list[str], timeout: float) -> None:
        """Puts the files into the open commit, and removes the keys in `gone`. Calling it again is safe."""

    def differing(self, name: CommitName, files: list[Stored], timeout: float) -> list[Stored]:
        """Returns the files that the commit does not hold as they were written."""
