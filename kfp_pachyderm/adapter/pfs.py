"""The PFS calls that the adapter makes, by gRPC."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfp_pachyderm.adapter.config import CommitName
from kfp_pachyderm.adapter.objects import Stored
from kfp_pachyderm.adapter.remote import CallFailedError, Found
from kfp_pachyderm.adapter.verify import Verifier

if TYPE_CHECKING:
    from pachyderm_sdk.api import pfs

_SERVICE = "/pfs_v2.API/"
_MESSAGE = 64 * 2**20
#: gRPC's own guess lets a read of 8 MiB fetch 26: what a range does not want must not be sent ahead.
_AHEAD = 2**20
_OPTIONS = (
    ("grpc.max_receive_message_length", _MESSAGE),
    ("grpc.max_send_message_length", _MESSAGE),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", _AHEAD),
)


_importing = threading.Lock()


def messages() -> Any:
    """Pachyderm's PFS messages, imported late: a quarter of a second that the step's claim hides."""
    # its modules import each other in circles: a second thread would get half of one
    with _importing:
        return importlib.import_module("kfp_pachyderm.sdk").pfs


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
    temporary = (code.UNAVAILABLE, code.ABORTED, code.RESOURCE_EXHAUSTED)
    try:
        yield
    except grpc.RpcError as error:
        words = f"{error.code().name}: {error.details()}"
        raise CallFailedError(words, error.code() in temporary) from error


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


def _channel(address: str) -> Any:
    import grpc

    secure, host, port = split(address)
    target = f"{host}:{port}"
    if not secure:
        return grpc.insecure_channel(target, options=_OPTIONS)
    ca = os.environ.get("KFP_PACHYDERM_CA")
    credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes() if ca else None)
    return grpc.secure_channel(target, credentials, options=_OPTIONS)


def commit(name: CommitName) -> pfs.Commit:
    """The commit as Pachyderm's messages have it."""
    pfs = messages()
    project, repo, commit_id = name
    repo_message = pfs.Repo(name=repo, type="user", project=pfs.Project(name=project))
    return pfs.Commit(repo=repo_message, id=commit_id)


def file(name: CommitName, path: str) -> pfs.File:
    """A file of the commit."""
    pfs = messages()
    return pfs.File(commit=commit(name), path=path)


def requests(output: CommitName, files: list[Stored], gone: list[str]) -> Iterator[pfs.ModifyFileRequest]:
    """One stream: each file is deleted first, so that sending it twice does not append."""
    pfs = messages()
    yield pfs.ModifyFileRequest(set_commit=commit(output))
    for key in gone:
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/" + key))
    for file in files:
        path = "/" + file.key
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        if not file.size:
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=b""))
        for piece in file.read(0, file.size):
            yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=piece))


def _found(info: pfs.FileInfo) -> Found:
    return Found(info.file.path, info.size_bytes, info.hash, info.committed)


class Pfs:
    """A connection to one address.

    Args:
        address: "grpc://host:port" or "grpcs://host:port".
        token: "" with auth off.
        patience: seconds that a stream may stand still.
    """

    shows_output = True

    def __init__(self, address: str, token: str, patience: float = 60.0) -> None:
        pfs = messages()
        from betterproto.lib.google.protobuf import BytesValue, Empty

        self.address = address
        self._patience = patience
        self._metadata = (("authn-token", token),) if token else ()
        self._channel = _channel(address)
        call = self._call
        self._inspect = call("unary_unary", "InspectFile", pfs.FileInfo)
        self._walk = call("unary_stream", "WalkFile", pfs.FileInfo)
        self._get = call("unary_stream", "GetFile", BytesValue)
        self._modify = call("stream_unary", "ModifyFile", Empty)
        self._verifier = Verifier(self)

    def _call(self, kind: str, name: str, answer: Any) -> Any:
        make = getattr(self._channel, kind)
        return make(_SERVICE + name, request_serializer=bytes, response_deserializer=answer.FromString)

    def inspect(self, name: CommitName, path: str) -> Found | None:
        """The regular file at the path; None when there is none."""
        import grpc

        pfs = messages()
        with _told():
            try:
                request = pfs.InspectFileRequest(file=file(name, path))
                info = self._inspect(request, metadata=self._metadata, timeout=self._patience)
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.NOT_FOUND:
                    return None
                raise
        return _found(info) if info.file_type == pfs.FileType.FILE else None

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        """Every regular file of the commit."""
        pfs = messages()
        request = pfs.WalkFileRequest(file=file(name, "/"))
        with _told():
            for info in self._walk(request, metadata=self._metadata, timeout=timeout):
                if info.file_type == pfs.FileType.FILE:
                    yield _found(info)

    def read(
        self, name: CommitName, path: str, start: int, length: int, timeout: float | None = None
    ) -> Iterator[bytes]:
        """`length` bytes of a file from `start`, as the messages come."""
        pfs = messages()
        if not length:
            return
        request = pfs.GetFileRequest(file=file(name, path), offset=start)
        answers = self._get(request, metadata=self._metadata, timeout=timeout)
        try:
            with _told():
                for answer in answers:
                    piece = answer.value[:length]
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
        """Those of the files that the commit does not hold byte for byte."""
        return self._verifier.differing(name, files, timeout)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()
