"""Runs calls to Pachyderm side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def beside(call: Callable[[], T]) -> Future[T]:
    """Runs a call in a daemon thread; the future holds what it returns or raises."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="beside", daemon=True).start()
    return future
