"""Looks for damage in a store that no server uses, and removes what no commit needs any more."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kfp_pachyderm.embedded.store.files.chunks import SMALL, Chunks, content, digest, references
from kfp_pachyderm.embedded.store.lock import locked
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.errors import StoreError

_NAME = re.compile(r"[0-9a-f]{64}(\.tmp)?")

#: Rules for references between tables: a problem's text, and the query for the rows that have the problem.
_RULES = (
    (
        "branch {}@{} points to a commit that is gone",
        "SELECT r.name, b.name FROM branches b JOIN repos r ON r.id = b.repo "
        "WHERE b.head IS NOT NULL AND b.head NOT IN (SELECT id FROM commits)",
    ),
    (
        "commit {} belongs to a repo that is gone",
        "SELECT set_id FROM commits WHERE repo NOT IN (SELECT id FROM repos)",
    ),
    (
        "commit {} has a parent that is gone",
        "SELECT set_id FROM commits WHERE parent IS NOT NULL AND parent NOT IN (SELECT id FROM commits)",
    ),
    (
        "commit {} is finished but has no list of files",
        "SELECT set_id FROM commits WHERE finished IS NOT NULL AND layers IS NULL",
    ),
    (
        "commit {} shows layer {}, which is gone",
        "SELECT set_id, value FROM commits, json_each(commits.layers) "
        "WHERE value NOT IN (SELECT id FROM layers)",
    ),
    (
        "commit {} writes into layer {}, which is gone",
        "SELECT set_id, own FROM commits "
        "WHERE finished IS NULL AND own IS NOT NULL AND own NOT IN (SELECT id FROM layers)",
    ),
    (
        "job {}@{} is over, its output commit is open",
        "SELECT j.pipeline, j.id FROM jobs j JOIN commits c ON c.id = j.output "
        "WHERE j.finished IS NOT NULL AND c.finished IS NULL",
    ),
    (
        "job {}@{} is in work, its output commit is finished",
        "SELECT j.pipeline, j.id FROM jobs j JOIN commits c ON c.id = j.output "
        "WHERE j.finished IS NULL AND c.finished IS NOT NULL",
    ),
)

_UNUSED_LAYERS = """SELECT id FROM layers WHERE id NOT IN (SELECT own FROM commits WHERE own IS NOT NULL)
  AND id NOT IN (SELECT value FROM commits, json_each(commits.layers))"""

_COMMITS_OF_LAYER = """SELECT r.project || '/' || r.name || '@' || c.set_id
  FROM commits c JOIN repos r ON r.id = c.repo
  WHERE c.own = ? OR EXISTS (SELECT 1 FROM json_each(c.layers) WHERE value = ?) ORDER BY c.id LIMIT 3"""


@dataclass
class Report:
    """What `check` or `collect` found in a store.

    Args:
        problems: one sentence for each damage; empty for a whole store.
        files: how many file entries were read.
        chunks: how many chunks the files need.
        orphans: chunks, lists and temporary files that no commit needs; `collect` removes them.
        orphan_bytes: their size.
    """

    problems: list[str] = field(default_factory=list)
    files: int = 0
    chunks: int = 0
    orphans: int = 0
    orphan_bytes: int = 0


@contextmanager
def _opened(folder: Path) -> Iterator[Store]:
    if not (folder / "pachyderm.db").is_file():
        raise StoreError(f"{folder} holds no embedded Pachyderm: name the folder that a server was given")
    with locked(folder), Store(folder) as store:
        yield store


def check(folder: Path) -> Report:
    """Reads all files of a store and compares them with their hashes; changes nothing.

    Args:
        folder: the data folder; no server may use it.

    Raises:
        StoreError: there is no store, or a server uses it.
    """
    with _opened(folder) as store:
        report = Report()
        db = store.read()
        report.problems += [f"database: {row[0]}" for row in db.execute("PRAGMA integrity_check")]
        report.problems = [one for one in report.problems if one != "database: ok"]
        for text, query in _RULES:
            report.problems += [text.format(*row) for row in db.execute(query)]
        needed = _check_files(store, report)
        _count_orphans(store, needed, report)
        return report


def _check_files(store: Store, report: Report) -> set[bytes]:
    db, seen = store.read(), dict[bytes, str]()
    rows = db.execute("SELECT layer, path, size, hash, chunks FROM files WHERE size IS NOT NULL")
    for layer, path, size, hash_, refs in rows:
        report.files += 1
        found = content(refs)
        if (found.size, found.hash) != (size, hash_):
            report.problems.append(f"{_where(db, layer, path)}: its list of chunks does not fit its hash")
        for chunk, length in references(refs):
            if chunk not in seen:
                seen[chunk] = _damage(store, chunk, length)
            if seen[chunk]:
                report.problems.append(f"{_where(db, layer, path)}: chunk {chunk.hex()} {seen[chunk]}")
    report.chunks = len(seen)
    return set(seen)


def _where(db: sqlite3.Connection, layer: int, path: str) -> str:
    shown = [row[0] for row in db.execute(_COMMITS_OF_LAYER, (layer, layer))]
    return f"file {path} of {', '.join(shown) or 'no commit'}"


def _damage(store: Store, chunk: bytes, size: int) -> str:
    if size <= SMALL:
        row = store.read().execute("SELECT data FROM small_chunks WHERE hash = ?", (chunk,)).fetchone()
        data = row[0] if row else None
    else:
        try:
            data = store.chunks.path(chunk).read_bytes()
        except OSError as error:
            return f"can't be read: {error}"
    if data is None:
        return "is missing"
    return "" if len(data) == size and digest(data) == chunk else "is damaged"


def _count_orphans(store: Store, needed: set[bytes], report: Report) -> None:
    db = store.read()
    report.orphans += db.execute(f"SELECT count(*) FROM ({_UNUSED_LAYERS})").fetchone()[0]  # noqa: S608
    for hash_, size in db.execute("SELECT hash, length(data) FROM small_chunks"):
        if hash_ not in needed:
            report.orphans += 1
            report.orphan_bytes += size
    for entry in _unneeded(store.chunks, needed):
        report.orphans += 1
        report.orphan_bytes += entry.stat().st_size


def _unneeded(chunks: Chunks, needed: set[bytes]) -> Iterator[os.DirEntry[str]]:
    names = {chunk.hex() for chunk in needed}
    for folder in os.scandir(chunks.folder):
        yield from (one for one in os.scandir(folder) if _NAME.fullmatch(one.name) and one.name not in names)


def collect(folder: Path) -> Report:
    """Removes what no commit needs any more: chunks, lists of files, temporary files of a killed server.

    Args:
        folder: the data folder; no server may use it.

    Returns:
        How much was removed.

    Raises:
        StoreError: there is no store, or a server uses it.
    """
    with _opened(folder) as store:
        report = Report()
        with store.database.write() as txn:
            unshown = [row[0] for row in txn.db.execute(_UNUSED_LAYERS).fetchall()]
            for layer in unshown:
                txn.db.execute("DELETE FROM files WHERE layer = ?", (layer,))
                txn.db.execute("DELETE FROM layers WHERE id = ?", (layer,))
            report.orphans += len(unshown)
            needed = {
                chunk
                for (refs,) in txn.db.execute("SELECT chunks FROM files WHERE chunks IS NOT NULL")
                for chunk, _ in references(refs)
            }
            _drop_small(txn.db, needed, report)
        # Chunk files go last: a crash in between leaves orphans, never a commit without its chunks.
        for entry in _unneeded(store.chunks, needed):
            report.orphans += 1
            report.orphan_bytes += entry.stat().st_size
            os.unlink(entry)
        report.chunks = len(needed)
        return report


def _drop_small(db: sqlite3.Connection, needed: set[bytes], report: Report) -> None:
    sizes = dict(db.execute("SELECT hash, length(data) FROM small_chunks"))
    gone = [hash_ for hash_ in sizes if hash_ not in needed]
    db.executemany("DELETE FROM small_chunks WHERE hash = ?", ((hash_,) for hash_ in gone))
    report.orphans += len(gone)
    report.orphan_bytes += sum(sizes[hash_] for hash_ in gone)
