"""The PFS calls that the adapter makes, by gRPC."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.staged_object import Segment, stages
from kfp_pachyderm.adapter.sidecar.file_sets import FileSets
from kfp_pachyderm.adapter.sidecar.grpc_calls import SERVICE, send, told
from kfp_pachyderm.adapter.sidecar.verification import Verifier
from kfp_pachyderm.fast_import import StandIn
from kfp_pachyderm.protocol import pfs_messages
from kfp_pachyderm.protocol.pfs_messages import CommitName, Found

_MESSAGE = 64 * 2**20
#: gRPC's own guess lets a read of 8 MiB fetch 26: what a range does not want must not be sent ahead.
_AHEAD = 2**20
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE),
    ("grpc.max_send_message_length", _MESSAGE),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", _AHEAD),
    # HTTP/2's default of 16 KiB costs a third more CPU on large reads, at both ends
    ("grpc.http2.max_frame_size", _AHEAD),
    # a connection that died without a word is noticed after 10 s; Pachyderm takes a ping every 5 s
    # (src/internal/grpcutil/server.go)
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.http2.max_pings_without_data", 0),
)


def split(address: str) -> tuple[bool, str, int]:
    """Whether "grpcs://host:port" is encrypted, its host and port."""
    scheme, _, rest = address.rpartition("://")
    host, _, port = rest.rstrip("/").rpartition(":")
    return scheme in ("grpcs", "https"), host, int(port)


def _channel(address: str, authority: str) -> Any:
    # without what is for asynchronous programs, half of the import
    with StandIn("asyncio"), StandIn("grpc.aio"):
        import grpc

    secure, host, port = split(address)
    target = f"{host}:{port}"
    if not secure:
        return grpc.insecure_channel(target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(authority.encode() or None)
    return grpc.secure_channel(target, credentials, options=_OPTIONS)


def requests(
    output: CommitName, files: list[Stored], gone: list[str], took: Callable[[int], None]
) -> Iterator[bytes]:
    """One stream: each file is deleted first, so that sending it twice does not append.

    Args:
        output: the open commit.
        files: what is put into it.
        gone: keys that are removed.
        took: told the bytes of each piece of content.
    """
    yield pfs_messages.set_commit(output)
    for key in gone:
        yield pfs_messages.delete_file("/" + key)
    for file in files:
        path = "/" + file.key
        yield pfs_messages.delete_file(path)
        if not file.size:
            yield pfs_messages.add_file(path, b"")
        for piece in file.read(0, file.size):
            took(len(piece))
            yield pfs_messages.add_file(path, piece)


class Pfs:
    """A connection to one address.

    Args:
        address: "grpc://host:port" or "grpcs://host:port".
        token: "" with auth off.
        authority: PEM text of the certificate authority for grpcs; "": the system's.
        patience: seconds that a stream may stand still.
        contents: whether what was written is compared by content, not by size alone.
    """

    shows_output = True

    def __init__(
        self,
        address: str,
        token: str,
        authority: str = "",
        patience: float = 60.0,
        contents: bool = True,
    ) -> None:
        self.address = address
        self._patience = patience
        self._metadata = (("authn-token", token),) if token else ()
        self._channel = _channel(address, authority)
        # without serializers gRPC hands the bytes through
        self._inspect = self._channel.unary_unary(SERVICE + "InspectFile")
        self._walk = self._channel.unary_stream(SERVICE + "WalkFile")
        self._get = self._channel.unary_stream(SERVICE + "GetFile")
        self._modify = self._channel.stream_unary(SERVICE + "ModifyFile")
        self._file_sets = FileSets(self._channel, self._metadata, patience)
        self._verifier = Verifier(self, contents)
        #: Bytes of content that the `write` under way has sent by now, without the staged.
        self.taken = 0

    def inspect(self, name: CommitName, path: str, timeout: float | None = None) -> Found | None:
        """The regular file at the path; None when there is none."""
        import grpc

        with told():
            try:
                request = pfs_messages.file_request(name, path)
                info = self._inspect(request, metadata=self._metadata, timeout=timeout or self._patience)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.NOT_FOUND:
                    return None
                raise
        return pfs_messages.found(info)

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        """Every regular file of the commit."""
        request = pfs_messages.file_request(name, "/")
        with told():
            for info in self._walk(request, metadata=self._metadata, timeout=timeout):
                found = pfs_messages.found(info)
                if found:
                    yield found

    def read(
        self, name: CommitName, path: str, start: int, length: int, timeout: float | None = None
    ) -> Iterator[bytes]:
        """`length` bytes of a file from `start`, as the messages come."""
        if not length:
            return
        request = pfs_messages.file_request(name, path, start)
        answers = self._get(request, metadata=self._metadata, timeout=timeout)
        try:
            with told():
                for answer in answers:
                    piece = bytes(pfs_messages.content(answer)[:length])
                    length -= len(piece)
                    yield piece
                    if not length:
                        return
        finally:
            answers.cancel()
        raise EOFError(f"{path} ended {length} bytes early")

    def stage(self, name: CommitName, key: str, segment: Segment, first: bool) -> str:
        """A file set that holds a segment of a key's content, the first one in its old content's place.

        Returns:
            Its ID.

        Raises:
            CallFailedError: as `write`.
        """
        return self._file_sets.create(key, segment, first)

    def write(self, name: CommitName, files: list[Stored], gone: list[str], timeout: float) -> None:
        """The files in one ModifyFile stream, applied as a whole or not; each large one in file sets.

        Raises:
            CallFailedError: also when nothing is taken for a while; a connection can die without a word.
        """
        until = time.monotonic() + timeout
        self.taken = 0
        self._verifier.prepare(files)
        large = {file.key: file.staged for file in files if file.staged and stages(file.size)}
        others = [file for file in files if file.key not in large]
        if others or gone:
            sent = requests(name, others, gone, self._took)
            send(self._modify, sent, self._metadata, timeout=timeout, patience=self._patience)
        for key, staged in large.items():
            self._file_sets.add(name, key, staged, until)

    def _took(self, count: int) -> None:
        self.taken += count

    def differing(self, name: CommitName, files: list[Stored], timeout: float) -> list[Stored]:
        """Those of the files that the commit does not hold."""
        return self._verifier.differing(name, files, timeout)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()
