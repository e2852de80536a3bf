"""The PFS calls that the adapter makes, by gRPC."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kfp_pachyderm.adapter import wire
from kfp_pachyderm.adapter.config import CommitName
from kfp_pachyderm.adapter.objects import Stored
from kfp_pachyderm.adapter.remote import CallFailedError, Found
from kfp_pachyderm.adapter.verify import Verifier
from kfp_pachyderm.passing import passes

_SERVICE = "/pfs_v2.API/"
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


@contextmanager
def _told() -> Iterator[None]:
    """gRPC's errors as the adapter's."""
    import grpc

    code = grpc.StatusCode
    temporary = (code.UNAVAILABLE, code.ABORTED, code.RESOURCE_EXHAUSTED, code.DEADLINE_EXCEEDED)
    try:
        yield
    except grpc.RpcError as error:
        found, details = error.code(), error.details() or ""
        may_pass = found in temporary or (found is code.UNKNOWN and passes(details))
        raise CallFailedError(f"{found.name}: {details}", may_pass) from error


class _Watched:
    """Requests on their way, and when the last one was taken."""

    def __init__(self, requests: Iterator[Any]) -> None:
        self._requests = requests
        self._taken = time.monotonic()
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._taken = time.monotonic()
        try:
            return next(self._requests)
        except StopIteration:
            self._ended = True
            raise

    def idle(self) -> float:
        """Seconds since the last request was taken; 0 when there is nothing more to take."""
        return 0.0 if self._ended else time.monotonic() - self._taken


def _channel(address: str, authority: str) -> Any:
    import grpc

    secure, host, port = split(address)
    target = f"{host}:{port}"
    if not secure:
        return grpc.insecure_channel(target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(authority.encode() or None)
    return grpc.secure_channel(target, credentials, options=_OPTIONS)


def requests(output: CommitName, files: list[Stored], gone: list[str]) -> Iterator[bytes]:
    """One stream: each file is deleted first, so that sending it twice does not append."""
    yield wire.set_commit(output)
    for key in gone:
        yield wire.delete_file("/" + key)
    for file in files:
        path = "/" + file.key
        yield wire.delete_file(path)
        if not file.size:
            yield wire.add_file(path, b"")
        for piece in file.read(0, file.size):
            yield wire.add_file(path, piece)


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
        self._inspect = self._channel.unary_unary(_SERVICE + "InspectFile")
        self._walk = self._channel.unary_stream(_SERVICE + "WalkFile")
        self._get = self._channel.unary_stream(_SERVICE + "GetFile")
        self._modify = self._channel.stream_unary(_SERVICE + "ModifyFile")
        self._verifier = Verifier(self, contents)

    def inspect(self, name: CommitName, path: str, timeout: float | None = None) -> Found | None:
        """The regular file at the path; None when there is none."""
        import grpc

        with _told():
            try:
                request = wire.file_request(name, path)
                info = self._inspect(request, metadata=self._metadata, timeout=timeout or self._patience)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.NOT_FOUND:
                    return None
                raise
        return wire.found(info)

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        """Every regular file of the commit."""
        request = wire.file_request(name, "/")
        with _told():
            for info in self._walk(request, metadata=self._metadata, timeout=timeout):
                found = wire.found(info)
                if found:
                    yield found

    def read(
        self, name: CommitName, path: str, start: int, length: int, timeout: float | None = None
    ) -> Iterator[bytes]:
        """`length` bytes of a file from `start`, as the messages come."""
        if not length:
            return
        request = wire.file_request(name, path, start)
        answers = self._get(request, metadata=self._metadata, timeout=timeout)
        try:
            with _told():
                for answer in answers:
                    piece = bytes(wire.content(answer)[:length])
                    length -= len(piece)
                    yield piece
                    if not length:
                        return
        finally:
            answers.cancel()
        raise EOFError(f"{path} ended {length} bytes early")

    def write(self, name: CommitName, files: list[Stored], gone: list[str], timeout: float) -> None:
        """The files in one ModifyFile stream: all of it is applied, or nothing.

        Raises:
            CallFailedError: also when nothing is taken for a while; a connection can die without a word.
        """
        import grpc

        self._verifier.prepare(files)
        watched = _Watched(requests(name, files, gone))
        call = self._modify.future(watched, metadata=self._metadata, timeout=timeout)
        with _told():
            while True:
                try:
                    call.result(timeout=min(self._patience, 1.0))
                    return
                except grpc.FutureTimeoutError:
                    if watched.idle() > self._patience:
                        call.cancel()
                        raise CallFailedError(f"took nothing for {self._patience:.0f} s", True) from None

    def differing(self, name: CommitName, files: list[Stored], timeout: float) -> list[Stored]:
        """Those of the files that the commit does not hold."""
        return self._verifier.differing(name, files, timeout)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()
