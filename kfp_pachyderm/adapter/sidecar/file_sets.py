"""File sets: makes one for each segment of a large object, composes them, adds the result to the commit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.disk.segments import Segment, read_segment
from kfp_pachyderm.adapter.disk.staged_object import Staged
from kfp_pachyderm.adapter.sidecar.grpc_calls import SERVICE, send, told
from kfp_pachyderm.protocol import pfs_messages
from kfp_pachyderm.protocol.pfs_messages import CommitName

#: Seconds that Pachyderm keeps a new, composed or renewed file set. Pachyderm allows three times as many
#: (src/server/pfs/server/server.go, maxTTL).
_KEPT = 600
#: Seconds that renewing a file set may take: others wait to be renewed.
_SOON = 20.0
#: Seconds that making a file set may take: one that hangs must not keep others from being sent.
_LONGEST = 600.0


def _requests(path: str, segment: Segment, first: bool) -> Iterator[bytes]:
    if first:
        yield pfs_messages.delete_file(path)
    for piece in read_segment(segment):
        yield pfs_messages.add_file(path, piece)


class FileSets:
    """Makes file sets over one connection, and adds them to commits.

    Args:
        channel: the gRPC channel.
        metadata: the metadata of every call.
        patience: seconds without progress after which a stream is given up.
    """

    def __init__(self, channel: Any, metadata: Any, patience: float) -> None:
        self._metadata, self._patience = metadata, patience
        self._create = channel.stream_unary(SERVICE + "CreateFileSet")
        self._compose = channel.unary_unary(SERVICE + "ComposeFileSet")
        self._renew = channel.unary_unary(SERVICE + "RenewFileSet")
        self._add = channel.unary_unary(SERVICE + "AddFileSet")

    def create(self, key: str, segment: Segment, first: bool) -> str:
        """Makes a file set of one segment, and returns its ID.

        Args:
            key: the object's key, as Pachyderm gets it.
            segment: the segment.
            first: whether the segment begins the content. Its file set then removes the file's earlier
                content.

        Raises:
            CallFailedError: the file set was not made.
        """
        sent = _requests("/" + key, segment, first)
        return pfs_messages.file_set_id(send(self._create, sent, self._metadata, _LONGEST, self._patience))

    def renew(self, id_: str) -> bool:
        """Renews a file set by its ID; returns False if Pachyderm does not have it any more.

        Raises:
            CallFailedError: it is not known whether Pachyderm renewed it.
        """
        import grpc

        request = pfs_messages.renew_file_set(id_, _KEPT)
        with told():
            try:
                self._renew(request, metadata=self._metadata, timeout=_SOON)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.NOT_FOUND:
                    return False
                raise
        return True

    def add(self, name: CommitName, key: str, staged: Staged, until: float) -> None:
        """Puts an object into the commit, in the place of an earlier one with its key.

        Args:
            name: the open commit.
            key: the object's key, as Pachyderm gets it.
            staged: the object's content.
            until: `time.monotonic()` at which it gives up.

        Raises:
            CallFailedError: the object is not in the commit, or that is not known. Calling again is safe.
        """

        def take() -> None:
            made = staged.ids(lambda _, segment, first: self.create(key, segment, first), until)
            self._take(name, staged, made, until)

        try:
            take()
        except CallFailedError as error:
            if error.temporary:
                raise
            # Pachyderm may have forgotten file sets that were made long ago
            staged.forget()
            take()

    def _take(self, name: CommitName, staged: Staged, made: list[str], until: float) -> None:
        with told():
            whole = made[0]
            if made[1:]:
                # Composed, the segments are one file set. Otherwise each read of the file would put them
                # together, and finishing the commit would do so again.
                request = pfs_messages.compose_file_sets(made, _KEPT)
                whole = pfs_messages.file_set_id(self._ask(self._compose, request, until))
                staged.put_together(whole)
            self._ask(self._add, pfs_messages.add_file_set(name, whole), until)
        staged.added()

    def _ask(self, method: Any, request: bytes, until: float) -> bytes:
        left = max(until - time.monotonic(), 0.001)
        answer: bytes = method(request, metadata=self._metadata, timeout=left)
        return answer
