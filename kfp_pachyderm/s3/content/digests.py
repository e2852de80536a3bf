"""Computes several digests of content in other threads, while the content is received and written."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from kfp_pachyderm.s3.content.checksums import Digest

#: Bytes from which on a piece is digested in other threads. hashlib releases the interpreter lock meanwhile.
_BESIDE = 2**18


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(4, thread_name_prefix="digest")


class Digests:
    """Several digests of the same content.

    Args:
        digests: the digests to update. Their values may be read after `settle`.
    """

    def __init__(self, *digests: Digest) -> None:
        self._digests = digests
        self._under_way: list[Future[None]] = []

    def update(self, data: bytes | memoryview) -> None:
        """Takes the next piece. Its bytes must not change afterwards."""
        self.settle()
        if len(data) >= _BESIDE:
            self._under_way = [_threads().submit(digest.update, data) for digest in self._digests]
        else:
            for digest in self._digests:
                digest.update(data)

    def settle(self) -> None:
        """Waits until every piece has been digested."""
        for digested in self._under_way:
            digested.result()
        self._under_way = []
