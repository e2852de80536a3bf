"""The PFS calls that the adapter makes, by gRPC, on the job's sidecar or, where that is closed, on pachd."""

from __future__ import annotations

import importlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfp_pachyderm.adapter.config import CommitName

if TYPE_CHECKING:
    from pachyderm_sdk.api import pfs

_SERVICE = "/pfs_v2.API/"
_MESSAGE = 64 * 2**20
_CONNECT = 3.0
_OPTIONS = (("grpc.max_receive_message_length", _MESSAGE), ("grpc.max_send_message_length", _MESSAGE))


_importing = threading.Lock()


def messages() -> Any:
    """Pachyderm's PFS messages, imported late: a quarter of a second that the step's claim hides."""
    # its modules import each other in circles: a second thread would get half of one
    with _importing:
        return importlib.import_module("kfp_pachyderm.sdk").pfs


def _split(address: str) -> tuple[bool, str, int]:
    scheme, _, rest = address.rpartition("://")
    host, _, port = rest.rstrip("/").rpartition(":")
    return scheme in ("grpcs", "https"), host, int(port)


def answers(address: str, timeout: float = _CONNECT) -> bool:
    """Whether somebody listens at the address."""
    _, host, port = _split(address)
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def temporary() -> tuple[Any, ...]:
    """Status codes after which the same call may work."""
    import grpc

    return (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.RESOURCE_EXHAUSTED)


class StalledError(ConnectionError):
    """The other side has stopped taking what is sent."""


def may_work(error: Exception) -> bool:
    """Whether the same call may work a moment later."""
    return isinstance(error, StalledError) or error.code() in temporary()  # type: ignore[attr-defined]


def describe(error: Exception) -> str:
    """What a gRPC call failed with."""
    if isinstance(error, StalledError):
        return str(error)
    return f"{error.code().name}: {error.details()}"  # type: ignore[attr-defined]


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

    secure, host, port = _split(address)
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


class Pfs:
    """A connection to one address.

    Args:
        address: "grpc://host:port" or "grpcs://host:port".
        token: "" with auth off.
        patience: seconds that a stream may stand still.
    """

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

    def _call(self, kind: str, name: str, answer: Any) -> Any:
        make = getattr(self._channel, kind)
        return make(_SERVICE + name, request_serializer=bytes, response_deserializer=answer.FromString)

    def inspect(self, name: CommitName, path: str) -> pfs.FileInfo | None:
        """The file or directory at the path; None when there is none."""
        import grpc

        pfs = messages()
        try:
            return self._inspect(pfs.InspectFileRequest(file=file(name, path)), metadata=self._metadata)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[pfs.FileInfo]:
        """Every regular file of the commit."""
        pfs = messages()
        infos = self._walk(
            pfs.WalkFileRequest(file=file(name, "/")), metadata=self._metadata, timeout=timeout
        )
        for info in infos:
            if info.file_type == pfs.FileType.FILE:
                yield info

    def read(self, name: CommitName, path: str, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes of a file from `start`, as the messages come."""
        pfs = messages()
        if not length:
            return
        answers = self._get(pfs.GetFileRequest(file=file(name, path), offset=start), metadata=self._metadata)
        try:
            for answer in answers:
                piece = answer.value[:length]
                length -= len(piece)
                yield piece
                if not length:
                    return
        finally:
            answers.cancel()
        raise EOFError(f"{path} ended {length} bytes early")

    def modify(self, requests: Iterator[Any], timeout: float) -> None:
        """One ModifyFile stream: all of it is applied, or nothing.

        Raises:
            StalledError: nothing of it has been taken for a while; a connection can die without a word.
        """
        import grpc

        watched = _Watched(requests)
        call = self._modify.future(watched, metadata=self._metadata, timeout=timeout)
        while True:
            try:
                call.result(timeout=min(self._patience, 1.0))
                return
            except grpc.FutureTimeoutError:
                if watched.idle() > self._patience:
                    call.cancel()
                    raise StalledError(f"took nothing for {self._patience:.0f} s") from None

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()


class Sidecar:
    """The connection in use, opened when first asked for, replaced when the job moves to another sidecar.

    Args:
        sidecar: the job's sidecar.
        pachd: taken when nobody listens there.
        token: the job's token.
    """

    def __init__(self, sidecar: str, pachd: str, token: str) -> None:
        self._sidecar = sidecar
        self._pachd = pachd
        self._token = token
        self._lock = threading.Lock()
        self._pfs: Pfs | None = None

    def pfs(self) -> Pfs:
        """The connection."""
        with self._lock:
            if self._pfs is None:
                closed = self._pachd and not answers(self._sidecar)
                self._pfs = Pfs(self._pachd if closed else self._sidecar, self._token)
            return self._pfs

    def move(self, sidecar: str) -> None:
        """From now on another sidecar is asked; reads that are under way end where they are."""
        with self._lock:
            self._sidecar = sidecar
            self._pfs = None
