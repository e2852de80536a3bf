"""What the adapter asks of Pachyderm, whichever way it is reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.staged_object import Segment
from kfp_pachyderm.protocol.pfs_messages import CommitName, Found


class Remote(Protocol):
    """A job's commits, over one connection. Every call may raise CallFailedError."""

    address: str
    #: whether the open output commit can be read
    shows_output: bool

    @property
    def taken(self) -> int:
        """Bytes of content that the `write` under way has sent by now, without the staged."""

    def inspect(self, name: CommitName, path: str) -> Found | None:
        """The file at the path."""

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        """Every file of the commit."""

    def read(self, name: CommitName, path: str, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes of a file from `start`."""

    def stage(self, name: CommitName, key: str, segment: Segment, first: bool) -> str:
        """Sends a segment of an object ahead of its being written; the ID by which it is known there."""

    def renew(self, id_: str) -> bool:
        """Keeps what `stage` has made for another while; False: it is forgotten."""

    def write(self, name: CommitName, files: list[Stored], gone: list[str], timeout: float) -> None:
        """Puts the files into the open commit and removes what is gone; doing it twice does no harm."""

    def differing(self, name: CommitName, files: list[Stored], timeout: float) -> list[Stored]:
        """Those of the written files that the commit does not hold byte for byte."""

    def close(self) -> None:
        """Ends the connection."""
