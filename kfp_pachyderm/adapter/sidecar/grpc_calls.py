"""gRPC calls of the adapter: translates their errors, and gives up streams that make no progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.protocol.transient_errors import passes

SERVICE = "/pfs_v2.API/"


@contextmanager
def told() -> Iterator[None]:
    """Turns gRPC's errors inside the block into CallFailedError."""
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
    """An iterator of requests that remembers when gRPC took the last one."""

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
        """Returns the seconds since gRPC took the last request; 0 after the last one."""
        return 0.0 if self._ended else time.monotonic() - self._taken


def send(
    method: Any, requests: Iterator[bytes], metadata: Any, timeout: float | None, patience: float
) -> bytes:
    """Sends a stream of requests, and returns the answer.

    Args:
        method: gRPC's callable for the method.
        requests: the stream.
        metadata: the call's metadata.
        timeout: seconds for the whole call; None: no limit as long as it makes progress.
        patience: seconds without progress after which the call is given up.

    Raises:
        CallFailedError: the call failed, or made no progress: a connection can break without an error.
    """
    import grpc

    watched = _Watched(requests)
    call = method.future(watched, metadata=metadata, timeout=timeout)
    with told():
        while True:
            try:
                answer: bytes = call.result(timeout=min(patience, 1.0))
                return answer
            except grpc.FutureTimeoutError:
                if watched.idle() > patience:
                    call.cancel()
                    raise CallFailedError(f"took nothing for {patience:.0f} s", True) from None
