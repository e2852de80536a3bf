"""A connection that counts its calls, and lets a test do something before one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc

from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.connection.client import Pachd


class Counted(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Counts calls by their names.

    Args:
        before: a function that gets each call's name before the call is made.
    """

    def __init__(self, before: Callable[[str], None] = lambda _: None) -> None:
        self.calls, self._before = Counter[str](), before

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return self._counted(continuation, details, request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return self._counted(continuation, details, request)

    def _counted(self, continuation: Any, details: Any, request: Any) -> Any:
        name = details.method.rpartition("/")[2]
        self.calls[name] += 1
        self._before(name)
        return continuation(details, request)


def counted(
    address: str, before: Callable[[str], None] = lambda _: None, *, grace: float = 60.0, token: str = ""
) -> tuple[Pachd, Counter[str]]:
    """A connection and what it counts."""
    counter = Counted(before)
    where = Address(address, token)
    channel = grpc.intercept_channel(grpc.insecure_channel(where.target), counter)
    return Pachd(where, channel=channel, grace=grace, again=grace), counter.calls
