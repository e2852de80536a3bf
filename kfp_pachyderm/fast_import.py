"""Imports of processes that a step waits for; standard library only, and little of that.

At the root of the package because two rooms use it that are two processes: the launcher and the adapter.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """While modules are imported: looking for garbage among what stays takes a tenth of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if before:
            gc.enable()
