"""gRPC's calls as the adapter makes them: its errors, and streams that stand still."""

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


def send(
    method: Any, requests: Iterator[bytes], metadata: Any, timeout: float | None, patience: float
) -> bytes:
    """The answer to a stream of requests.

    Args:
        method: the call.
        requests: the stream.
        metadata: the call's.
        timeout: seconds for all of it; None: as long as it moves.
        patience: seconds that it may stand still.

    Raises:
        CallFailedError: also when nothing is taken for a while; a connection can die without a word.
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
