"""The content of an object that has left the spool: the output commit holds the only copy."""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.sidecar.connection import Sidecar
from kfp_pachyderm.protocol.pfs_messages import CommitName


class EvictedContent:
    """Reads one object's content from the output commit, by its path.

    Another object with the same key may take its place there while it is read. The delivery says so before it
    begins to send that one, and the read breaks off. A piece that arrived before that is the object's own.

    Args:
        sidecar: the connection by which the commit is read.
        output: the open output commit.
        key: the object's key.
    """

    def __init__(self, sidecar: Sidecar, output: CommitName, key: str) -> None:
        self._sidecar, self._output, self._key = sidecar, output, key
        self._is_gone = False

    def give_up(self) -> None:
        """Notes that the commit is going to hold another object at that path, or none."""
        self._is_gone = True

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """Yields `length` bytes from `start`.

        Raises:
            CallFailedError: Pachyderm did not answer; or the content is gone, which is temporary: a client
                that repeats its request gets what has taken the object's place.
        """
        try:
            for piece in self._sidecar.remote().read(self._output, "/" + self._key, start, length):
                if self._is_gone:
                    break
                yield piece
            else:
                return
        except (CallFailedError, EOFError):
            if not self._is_gone:
                raise
        raise CallFailedError(f"{self._key!r} was replaced or deleted while it was read", temporary=True)
