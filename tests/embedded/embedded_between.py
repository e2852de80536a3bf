"""What another client does at a moment of a call: before it gets the write lock, or after a dry run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kfp_pachyderm.embedded.store.sqlite.database import Txn
from kfp_pachyderm.embedded.store.store import Store

Act = Callable[[], Any]


class Between:
    """Acts of another client around a store's write transactions; what it does itself does not count.

    Args:
        store: the store.
        monkeypatch: replaces the store's `write`.

    Attributes:
        before_writes: done before each write transaction has the lock, dry runs left out.
        after_dry_runs: done after each dry run has released the lock.
        dry_runs: how many there were.
    """

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.before_writes: Act | None = None
        self.after_dry_runs: Act | None = None
        self.dry_runs = 0
        self._write, self._busy = store.database.write, False
        monkeypatch.setattr(store.database, "write", self._hooked)

    def once(self, hook: str, act: Act) -> None:
        """Has the other client act one time."""

        def first() -> None:
            setattr(self, hook, None)
            act()

        setattr(self, hook, first)

    @contextmanager
    def _hooked(self, *values: Any, dry_run: bool = False, **options: Any) -> Iterator[Txn]:
        if not dry_run:
            self._do(self.before_writes)
        with self._write(*values, dry_run=dry_run, **options) as txn:
            yield txn
        if dry_run and not self._busy:
            self.dry_runs += 1
            self._do(self.after_dry_runs)

    def _do(self, act: Act | None) -> None:
        if act is not None and not self._busy:
            self._busy = True
            try:
                act()
            finally:
                self._busy = False
