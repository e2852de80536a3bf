"""Streams that pachd reads in one transaction: no commit that another client removes is missing in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import TypeVar

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.sqlite.database import one_moment

T = TypeVar("T")


def of_one_moment(db: sqlite3.Connection, read: Callable[[sqlite3.Connection], Iterator[T]]) -> Iterator[T]:
    """Yields what `read` does, read as a whole first: the client takes as long as it likes.

    Raises:
        Refused: as `read`, after all that it yielded before.
    """
    found: list[T] = []
    refused: Refused | None = None
    with one_moment(db):
        try:
            found.extend(read(db))
        except Refused as error:
            refused = error
    yield from found
    if refused is not None:
        raise refused
