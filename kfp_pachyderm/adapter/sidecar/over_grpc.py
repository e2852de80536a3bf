"""The connection to the job's commits over gRPC: PFS calls to the sidecar or to pachd."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from weakref import proxy

from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.segments import Segment
from kfp_pachyderm.adapter.disk.staged_object import stages
from kfp_pachyderm.adapter.sidecar.file_sets import FileSets
from kfp_pachyderm.adapter.sidecar.grpc_calls import SERVICE, send, told
from kfp_pachyderm.adapter.sidecar.verification import Verifier
from kfp_pachyderm.fast_import import without_asyncio
from kfp_pachyderm.protocol import pfs_messages
from kfp_pachyderm.protocol.pfs_messages import CommitName, Found

_MESSAGE = 64 * 2**20
#: Bytes that the server may send ahead. With gRPC's own estimate a read of 8 MiB fetched 26 MiB.
_AHEAD = 2**20
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE),
    ("grpc.max_send_message_length", _MESSAGE),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", _AHEAD),
    # with HTTP/2's default of 16 KiB, large reads cost a third more CPU on both sides
    ("grpc.http2.max_frame_size", _AHEAD),
    # a connection that broke without an error is noticed after 10 s; Pachyderm accepts a ping every 5 s
    # (src/internal/grpcutil/server.go)
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.http2.max_pings_without_data", 0),
)


def split(address: str) -> tuple[bool, str, int]:
    """Splits an address "scheme://host:port": whether the scheme means TLS, the host, the port."""
    scheme, _, rest = address.rpartition("://")
    host, _, port = rest.rstrip("/").rpartition(":")
    return scheme in ("grpcs", "https"), host, int(port)


def _channel(address: str, authority: str) -> Any:
    with without_asyncio():
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
    """Yields the requests of one ModifyFile stream.

    Each file is deleted before it is added, so that a stream that is sent twice does not append.

    Args:
        output: the open commit.
        files: the objects to put into it.
        gone: the keys to remove.
        took: called with the size of each piece of content that is sent, in bytes.
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
    """A gRPC connection to PFS at one address; a `Remote`.

    Args:
        address: "grpc://host:port" or "grpcs://host:port".
        token: Pachyderm's token, "" with auth off.
        authority: PEM text of the certificate authority for grpcs; "": the system's.
        patience: seconds without progress after which a stream is given up.
        contents: whether verification compares contents, not only sizes.
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
        channel = _channel(address, authority)
        # without serializers gRPC passes bytes, which pfs_messages encodes and decodes
        self._inspect = channel.unary_unary(SERVICE + "InspectFile")
        self._walk = channel.unary_stream(SERVICE + "WalkFile")
        self._get = channel.unary_stream(SERVICE + "GetFile")
        self._modify = channel.stream_unary(SERVICE + "ModifyFile")
        self._file_sets = FileSets(channel, self._metadata, patience)
        # no cycle of references: gRPC closes a channel when the last reference to it is gone
        self._verifier = Verifier(proxy(self), contents)
        #: Bytes that the current `write` has sent so far, without objects that go in file sets.
        self.taken = 0

    def inspect(self, name: CommitName, path: str, timeout: float | None = None) -> Found | None:
        """Returns the regular file at the path, None if there is none."""
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
        """Yields every regular file of the commit."""
        request = pfs_messages.file_request(name, "/")
        with told():
            for info in self._walk(request, metadata=self._metadata, timeout=timeout):
                found = pfs_messages.found(info)
                if found:
                    yield found

    def read(
        self, name: CommitName, path: str, start: int, length: int, timeout: float | None = None
    ) -> Iterator[bytes]:
        """Yields `length` bytes of a file from `start`, in pieces as gRPC's messages bring them."""
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
        """Makes a file set of one segment of an object; the first one also removes the file's old content.

        Returns:
            The file set's ID.

        Raises:
            CallFailedError: as of `write`.
        """
        return self._file_sets.create(key, segment, first)

    def renew(self, id_: str) -> bool:
        """Renews a file set by its ID; returns False if Pachyderm does not have it any more.

        Raises:
            CallFailedError: it is not known whether Pachyderm renewed it.
        """
        return self._file_sets.renew(id_)

    def write(self, name: CommitName, files: list[Stored], gone: list[str], timeout: float) -> None:
        """Writes the files: small ones in one ModifyFile stream, each large one in file sets.

        Pachyderm applies the stream as a whole or not at all.

        Raises:
            CallFailedError: a call failed, or made no progress: a connection can break without an error.
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
        """Returns the files that the commit does not hold as they were written."""
        return self._verifier.differing(name, files, timeout)
