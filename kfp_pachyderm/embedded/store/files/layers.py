"""File listings: immutable layers of paths, the newer hiding the older, merged so that few remain."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from kfp_pachyderm.embedded.store.files.chunks import Content
from kfp_pachyderm.embedded.store.sqlite.database import Txn

#: Rows per page while listing, so that no read transaction stays open behind a slow client.
_PAGE = 1000
#: Checking only the changed files is quicker than checking all if fewer than one in this many has changed.
_TARGETED = 20
#: A layer is merged into the next older one unless that is this many times larger.
_GROWTH = 4


@dataclass(frozen=True, slots=True)
class File:
    """One file of a commit: path as Pachyderm has it ("/dir/name"), size in bytes, hash, chunk references."""

    path: str
    size: int
    hash: bytes
    refs: bytes


Row = tuple[str, int | None, bytes | None, bytes | None]


def create(txn: Txn) -> int:
    """A new, empty layer."""
    layer = txn.db.execute("INSERT INTO layers DEFAULT VALUES").lastrowid
    assert layer is not None
    return layer


def drop(txn: Txn, layer: int) -> None:
    """Removes a layer that no finished commit shows."""
    txn.db.execute("DELETE FROM files WHERE layer = ?", (layer,))
    txn.db.execute("DELETE FROM layers WHERE id = ?", (layer,))


def put(txn: Txn, layer: int, changes: dict[str, Content | None]) -> None:
    """Sets files of a layer; None: the file is deleted, even if an older layer has it."""
    txn.db.executemany(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
        (
            (layer, path, *((None, None, None) if one is None else (one.size, one.hash, one.refs)))
            for path, one in changes.items()
        ),
    )


def inspect(db: sqlite3.Connection, layers: tuple[int, ...], path: str) -> File | None:
    """The file at exactly this path."""
    for layer in layers:
        query = "SELECT size, hash, chunks FROM files WHERE layer = ? AND path = ?"
        row = db.execute(query, (layer, path)).fetchone()
        if row is not None:
            return None if row[0] is None else File(path, *row)
    return None


def walk(
    db: sqlite3.Connection, layers: tuple[int, ...], prefix: str = "", after: str = ""
) -> Iterator[File]:
    """Files whose path starts with `prefix` and is greater than `after`, in byte order of their paths."""
    for path, size, hash_, refs in _merged(db, layers, prefix, after):
        if size is not None and hash_ is not None and refs is not None:
            yield File(path, size, hash_, refs)


def exists_below(db: sqlite3.Connection, layers: tuple[int, ...], folder: str) -> bool:
    """Whether any file lies below a folder, its path given with the slash at the end."""
    return next(walk(db, layers, folder), None) is not None


def _merged(db: sqlite3.Connection, layers: tuple[int, ...], prefix: str, after: str) -> Iterator[Row]:
    if len(layers) == 1:
        yield from _rows(db, layers[0], prefix, after)
        return
    streams = [_ranked(db, layer, rank, prefix, after) for rank, layer in enumerate(layers)]
    last: str | None = None
    for path, _, row in heapq.merge(*streams, key=lambda one: one[:2]):
        if path != last:
            last = path
            yield row


def _ranked(
    db: sqlite3.Connection, layer: int, rank: int, prefix: str, after: str
) -> Iterator[tuple[str, int, Row]]:
    for row in _rows(db, layer, prefix, after):
        yield row[0], rank, row


def _rows(db: sqlite3.Connection, layer: int, prefix: str, after: str) -> Iterator[Row]:
    end = prefix + "\U0010ffff"
    query = """SELECT path, size, hash, chunks FROM files
      WHERE layer = ? AND path {} ? AND path < ? ORDER BY path LIMIT ?"""
    start, compare = (after, ">") if after >= prefix else (prefix, ">=")
    while True:
        page: list[Row] = db.execute(query.format(compare), (layer, start, end, _PAGE)).fetchall()
        yield from page
        if len(page) < _PAGE:
            return
        start, compare = page[-1][0], ">"


def seal(txn: Txn, layers: tuple[int, ...]) -> tuple[int, ...]:
    """Merges the small layers of a commit that is finishing; returns what it shows from now on."""
    sizes = [_count(txn, layer) for layer in layers]
    merge = 0
    while merge + 1 < len(layers) and sum(sizes[: merge + 1]) * _GROWTH >= sizes[merge + 1]:
        merge += 1
    if not merge:
        return layers
    merged = _merge(txn, layers[: merge + 1], bottom=merge + 1 == len(layers))
    return (merged, *layers[merge + 1 :])


def _count(txn: Txn, layer: int) -> int:
    known: int | None = txn.db.execute("SELECT rows FROM layers WHERE id = ?", (layer,)).fetchone()[0]
    if known is not None:
        return known
    count: int = txn.db.execute("SELECT count(*) FROM files WHERE layer = ?", (layer,)).fetchone()[0]
    txn.db.execute("UPDATE layers SET rows = ? WHERE id = ?", (count, layer))
    return count


def _merge(txn: Txn, layers: tuple[int, ...], bottom: bool) -> int:
    merged = create(txn)
    rows = (row for row in _merged(txn.db, layers, "", "") if not (bottom and row[1] is None))
    txn.db.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?)", ((merged, *row) for row in rows))
    _count(txn, merged)
    return merged


@dataclass(frozen=True)
class Check:
    """The result of `check`: the size of the commit's files, and Pachyderm's text for a collision or ""."""

    size: int
    error: str


def check(txn: Txn, own: int | None, base: tuple[int, ...], base_size: int) -> Check:
    """Looks for a path that is a file and a folder, and sums up sizes.

    Args:
        txn: the write transaction.
        own: the layer that the commit wrote.
        base: the layers below, which were checked when their commit finished.
        base_size: size of their files in bytes.
    """
    if own is None:
        return Check(base_size, "")
    if base and _count(txn, own) * _TARGETED < sum(_count(txn, layer) for layer in base):
        return _check_changes(txn.db, own, base, base_size)
    size, previous, error = 0, "\0", ""
    for file in walk(txn.db, (own, *base)):
        size += file.size
        if not error and file.path.startswith(previous + "/"):
            error = _collision(file.path)
        previous = file.path
    return Check(size, error)


def _check_changes(db: sqlite3.Connection, own: int, base: tuple[int, ...], size: int) -> Check:
    shown, error = (own, *base), ""
    for path, new_size, _, _ in _rows(db, own, "", ""):
        before = inspect(db, base, path)
        size += (new_size or 0) - (before.size if before else 0)
        if new_size is not None and not error:
            error = _collision_at(db, shown, path)
    return Check(size, error)


def _collision_at(db: sqlite3.Connection, layers: tuple[int, ...], path: str) -> str:
    at = 0
    while (at := path.find("/", at + 1)) > 0:
        if inspect(db, layers, path[:at]) is not None:
            return _collision(path)
    child = next(walk(db, layers, path + "/"), None)
    return _collision(child.path) if child else ""


def _collision(path: str) -> str:
    # Pachyderm src/internal/storage/fileset/validator.go
    return f"file / directory path collision ({path})"
