"""One SQLite file: one writer at a time, readers beside it, and a way to wait for changes."""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from kfp_pachyderm.embedded import deadline as deadlines
from kfp_pachyderm.embedded.store.sqlite.schema import SCHEMA, VERSION
from kfp_pachyderm.errors import StoreError

T = TypeVar("T")

#: How often a waiting request looks whether its client is still there, in seconds.
LIVENESS = 1.0


def now() -> int:
    """The time in the store's unit: microseconds since 1970."""
    return time.time_ns() // 1000


def new_id() -> str:
    """A fresh global ID as Pachyderm makes them: a UUIDv4 without dashes."""
    return uuid.uuid4().hex


@dataclass
class Txn:
    """One write transaction.

    Args:
        db: the connection that holds it.
        set_id: ID of the commit set that its new commits belong to.
        now: its time stamp.
        moved: row IDs of branches that moved; branches downstream follow before the transaction ends.
        propagate_jobs: whether new output commits may need jobs.
        finished: row IDs of commits that finished in it.
        events: passed to the subscribers after the transaction is committed.
    """

    db: sqlite3.Connection
    set_id: str = field(default_factory=new_id)
    now: int = field(default_factory=now)
    moved: list[int] = field(default_factory=list)
    propagate_jobs: bool = False
    finished: list[int] = field(default_factory=list)
    events: list[object] = field(default_factory=list)


@contextmanager
def one_moment(db: sqlite3.Connection) -> Iterator[None]:
    """Within the block all reads show the store as it is at one moment, as in a transaction of pachd's.

    No client may be waited for in it: SQLite keeps what is written meanwhile beside its file.
    """
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")


class _Reader:
    """A thread's connection for reading, closed when the thread ends.

    Since Python 3.13 a connection that nobody has closed is a ResourceWarning.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __del__(self) -> None:
        self.db.close()


class Database:
    """The store's SQLite file.

    Args:
        path: the file; made when missing.

    Raises:
        StoreError: not a database, damaged, of a newer version, or not writable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._local = threading.local()
        self._changed = threading.Condition()
        self._version = 0
        self._closed = False
        #: Hooks that run in this order in every write transaction, just before it commits.
        self.before_commit: list[Callable[[Txn], None]] = []
        #: Called with each event of a transaction after its commit.
        self.subscribers: list[Callable[[object], None]] = []
        try:
            self._writer = self._connect()
            self._prepare()
        except sqlite3.Error as error:
            raise StoreError(
                f"{path} can't be used: {error}. Give another data folder or restore this one"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)

    def _prepare(self) -> None:
        # The version is read first, so that the file of a newer version is not changed.
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                f"{self._path} has version {version}, this kfp-pachyderm reads up to {VERSION}: "
                "install a newer one"
            )
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA cache_size = -8192")
        self._writer.execute("PRAGMA synchronous = FULL")
        if version == 0:
            self._writer.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")

    @contextmanager
    def write(self, set_id: str = "", durable: bool = True, dry_run: bool = False) -> Iterator[Txn]:
        """A write transaction: all of it or nothing.

        Args:
            set_id: the commit set of new commits; "": a new one.
            durable: False: a power cut may lose it; for what no client relies on, such as an open commit's
                files.
            dry_run: roll back at the end, and run the hooks only if the caller does (`run_hooks`).

        Raises:
            DeadlineExceeded: the deadline of this thread's call comes before the commit; nothing is changed.
        """
        with self._lock:
            txn = Txn(self._writer, set_id or new_id())
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield txn
                if not dry_run:
                    self.run_hooks(txn)
                deadlines.check()
                self._writer.execute("ROLLBACK" if dry_run else "COMMIT")
            except BaseException:
                self._rollback()
                raise
        if not dry_run:
            self._announce(txn.events)

    def run_hooks(self, txn: Txn) -> None:
        """Runs `before_commit`. A dry run calls it to hear what its commit would be refused for."""
        for hook in self.before_commit:
            hook(txn)

    def _rollback(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def _announce(self, events: list[object]) -> None:
        for event in events:
            for subscriber in self.subscribers:
                subscriber(event)
        self.wake()

    def wake(self) -> None:
        """Makes every `wait` call its `ready` again."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def read(self) -> sqlite3.Connection:
        """This thread's connection for reading."""
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = _Reader(self._connect())
            reader.db.execute("PRAGMA query_only = ON")
            # Each thread has a cache of its own; the operating system caches the file for all of them.
            reader.db.execute("PRAGMA cache_size = -512")
        return reader.db

    def wait(
        self,
        ready: Callable[[], T | None],
        alive: Callable[[], bool] = lambda: True,
        timeout: float | None = None,
    ) -> T | None:
        """Waits until `ready` returns something; calls it after every write, and every second.

        Args:
            ready: called in this thread; None: not yet.
            alive: whether the caller still wants the answer.
            timeout: seconds; None: as long as the server runs.

        Returns:
            What `ready` returned; None if `alive` became false, the time is over, or the server stops.

        Raises:
            DeadlineExceeded: the deadline of this thread's call has passed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            seen = self._version
            answer = ready()
            if answer is not None or self._closed or not alive():
                return answer
            left = LIVENESS if deadline is None else min(LIVENESS, deadline - time.monotonic())
            if left <= 0:
                return None
            deadlines.check()
            left = min(left, deadlines.left() or left)
            with self._changed:
                if self._version == seen:
                    self._changed.wait(left)

    @property
    def closed(self) -> bool:
        """Whether the server is stopping."""
        return self._closed

    def stop_waiting(self) -> None:
        """Ends every `wait`; the database itself stays usable."""
        self._closed = True
        self.wake()

    def close(self) -> None:
        """Ends every `wait`, and closes the connections of the writer and of this thread.

        A connection of another thread is closed when that thread ends.
        """
        self.stop_waiting()
        vars(self._local).clear()
        with self._lock:
            self._writer.close()
