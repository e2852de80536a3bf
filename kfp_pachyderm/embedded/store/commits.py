"""Commits: making, finishing and finding them. A commit set is all commits of one transaction."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from kfp_pachyderm.embedded.status import Refused, not_found
from kfp_pachyderm.embedded.store.files import layers
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Txn

USER, AUTO = 1, 2


@dataclass(frozen=True)
class Commit:
    """A row of `commits`, with its repo's name."""

    id: int
    repo_id: int
    repo: RepoKey
    set_id: str
    branch: str
    origin: int
    description: str
    parent: int | None
    started: int
    finishing: int | None
    finished: int | None
    error: str
    size: int
    own: int | None
    base: bool
    layers: tuple[int, ...] | None
    updated: int
    metadata: dict[str, str]

    def __str__(self) -> str:
        return f"{self.repo}@{self.set_id}"


_COMMIT = """SELECT c.id, c.repo, r.project, r.name, r.type, c.set_id, c.branch, c.origin, c.description,
  c.parent, c.started, c.finishing, c.finished, c.error, c.size, c.own, c.base, c.layers, c.updated,
  c.metadata FROM commits c JOIN repos r ON r.id = c.repo"""


def _commit(row: Any) -> Commit:
    id_, repo_id, project, name, type_ = row[:5]
    base, found, updated, metadata = row[16:]
    shown = None if found is None else tuple(json.loads(found))
    key = RepoKey(project, name, type_)
    values: Any = (id_, repo_id, key, *row[5:16], bool(base), shown, updated, json.loads(metadata))
    return Commit(*values)


def select(db: sqlite3.Connection, where: str, values: tuple[Any, ...] = ()) -> list[Commit]:
    """The commits that an SQL clause selects ("WHERE ..."); `c` is the commit, `r` its repo."""
    return [_commit(row) for row in db.execute(f"{_COMMIT} {where}", values)]


def by_id(db: sqlite3.Connection, commit_id: int) -> Commit:
    """The commit with that row ID.

    Raises:
        Refused: it was removed after the caller had read of it.
    """
    row = db.execute(f"{_COMMIT} WHERE c.id = ?", (commit_id,)).fetchone()
    if row is None:
        raise not_found(f"commit (int_id={commit_id}, commit_id=) not found")
    return _commit(row)


def find(db: sqlite3.Connection, repo_id: int, set_id: str) -> Commit | None:
    """The repo's commit in a commit set, if it has one."""
    row = db.execute(f"{_COMMIT} WHERE c.repo = ? AND c.set_id = ?", (repo_id, set_id)).fetchone()
    return _commit(row) if row else None


def reload(db: sqlite3.Connection, commit: Commit) -> Commit:
    """The commit as it is now.

    Raises:
        Refused: the commit was deleted.
    """
    row = db.execute(f"{_COMMIT} WHERE c.id = ?", (commit.id,)).fetchone()
    if row is None:
        raise not_found(f"commit {commit} was deleted")
    return _commit(row)


def in_set(db: sqlite3.Connection, set_id: str) -> list[Commit]:
    """All commits of a commit set, upstream first."""
    return sorted_by_provenance(db, select(db, "WHERE c.set_id = ? ORDER BY c.id", (set_id,)))


def set_and_provenance(db: sqlite3.Connection, set_id: str) -> list[Commit]:
    """All commits of a commit set and their provenance, upstream first; empty if there is no such set.

    Source: Pachyderm src/server/pfs/server/server_commit_set.go (inspectCommitSetImmediateTx); measured.
    """
    above = """WITH RECURSIVE up(id) AS (
        SELECT id FROM commits WHERE set_id = ?
        UNION SELECT p.upstream FROM commit_provenance p JOIN up ON p.commit_id = up.id) SELECT id FROM up"""
    # A commit is made after its provenance, so its row ID is larger.
    return select(db, f"WHERE c.id IN ({above}) ORDER BY c.id", (set_id,))


def sorted_by_provenance(db: sqlite3.Connection, commits: list[Commit]) -> list[Commit]:
    """The same commits, each after its provenance."""
    left = {commit.id: commit for commit in commits}
    done: list[Commit] = []

    def visit(commit: Commit) -> None:
        if left.pop(commit.id, None) is None:
            return
        for upstream in provenance_ids(db, commit.id):
            if upstream in left:
                visit(left[upstream])
        done.append(commit)

    for commit in commits:
        visit(commit)
    return done


def provenance_ids(db: sqlite3.Connection, commit_id: int) -> list[int]:
    """Row IDs of the commits that this one comes from directly."""
    rows = db.execute(
        "SELECT upstream FROM commit_provenance WHERE commit_id = ? ORDER BY upstream", (commit_id,)
    )
    return [row[0] for row in rows]


def provenance(db: sqlite3.Connection, commit_id: int) -> list[Commit]:
    """The commits that this one comes from directly."""
    return [by_id(db, upstream) for upstream in provenance_ids(db, commit_id)]


def subvenance(db: sqlite3.Connection, commit_id: int) -> list[Commit]:
    """The commits that come from this one directly."""
    where = "WHERE c.id IN (SELECT commit_id FROM commit_provenance WHERE upstream = ?) ORDER BY c.id"
    return select(db, where, (commit_id,))


def subvenance_ids(db: sqlite3.Connection, commit_id: int) -> list[int]:
    """Row IDs of the commits that come from this one directly."""
    rows = db.execute(
        "SELECT commit_id FROM commit_provenance WHERE upstream = ? ORDER BY commit_id", (commit_id,)
    )
    return [row[0] for row in rows]


def children(db: sqlite3.Connection, commit_id: int) -> list[Commit]:
    """The commits whose parent this one is."""
    return select(db, "WHERE c.parent = ? ORDER BY c.id", (commit_id,))


def create(
    txn: Txn,
    repo_id: int,
    branch: str,
    parent: int | None,
    upstream: list[int],
    origin: int = USER,
    description: str = "",
    closed: bool = False,
) -> Commit:
    """Adds a commit to the transaction's commit set.

    Raises:
        Refused: the repo has a commit in this commit set already.
    """
    known = find(txn.db, repo_id, txn.set_id)
    if known is not None:
        raise Refused(
            f"inconsistent dependencies: cannot create commit from {known}; repo ({known.repo.name}) "
            "already has a commit in this transaction"
        )
    done = txn.now if closed else None
    values = (repo_id, txn.set_id, branch, origin, description, parent, txn.now, done, done)
    added = txn.db.execute(
        "INSERT INTO commits "
        "(repo, set_id, branch, origin, description, parent, started, finishing, finished, layers, updated) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, "[]" if closed else None, txn.now),
    ).lastrowid
    assert added is not None
    for one in dict.fromkeys(upstream):
        txn.db.execute("INSERT INTO commit_provenance VALUES (?, ?)", (added, one))
    return by_id(txn.db, added)


def finish(txn: Txn, commit: Commit, error: str = "", description: str = "") -> str:
    """Closes a commit and checks its files.

    Returns:
        The commit's error: the caller's, or what the check of its files found.

    Raises:
        Refused: the commit is closed already, or its parent is still open.
    """
    if commit.finishing is not None:
        raise Refused(f"commit {commit} has already finished")
    shown = commit_layers(txn.db, commit, for_error=bool(error))
    base = shown if commit.own is None else shown[1:]
    checked = layers.check(txn, commit.own, base, _size(txn.db, commit) if base else 0)
    found = layers.seal(txn, shown)
    if commit.own is not None and commit.own not in found:
        layers.drop(txn, commit.own)
    error = error or checked.error
    txn.db.execute(
        "UPDATE commits SET finishing = ?, finished = ?, error = ?, size = ?, layers = ?, updated = ?, "
        "description = CASE WHEN ? = '' THEN description ELSE ? END WHERE id = ?",
        (
            *(txn.now, txn.now, error, checked.size, json.dumps(found), txn.now),
            *(description, description, commit.id),
        ),
    )
    txn.finished.append(commit.id)
    return error


def commit_layers(db: sqlite3.Connection, commit: Commit, for_error: bool = False) -> tuple[int, ...]:
    """Layers that make up a commit's files, newest first.

    An open commit shows its own layer over the nearest ancestor that finished without error
    (Pachyderm src/server/pfs/server/server_file.go, getFileset).

    Raises:
        Refused: that ancestor is still open, and not `for_error`, which needs none of its files.
    """
    if commit.layers is not None:
        return commit.layers
    own = () if commit.own is None else (commit.own,)
    base = _base(db, commit)
    if base is None:
        return own
    if base.layers is None:
        if for_error:
            return own
        raise Refused(f"base commit {base} for commit {commit} unfinished")
    return own + base.layers


def open_base(db: sqlite3.Connection, commit: Commit) -> Commit | None:
    """The nearest ancestor without an error, if it is open.

    Pachyderm does not finish a commit before that one, even if none of its files is left (compactCommit).
    """
    base = _nearest(db, commit.parent)
    return base if base is not None and base.layers is None else None


def _base(db: sqlite3.Connection, commit: Commit) -> Commit | None:
    return _nearest(db, commit.parent) if commit.base else None


def _nearest(db: sqlite3.Connection, parent: int | None) -> Commit | None:
    while parent is not None:
        found = by_id(db, parent)
        if not found.error:
            return found
        parent = found.parent
    return None


def _size(db: sqlite3.Connection, commit: Commit) -> int:
    base = _base(db, commit)
    return base.size if base else 0


def own_layer(txn: Txn, commit: Commit) -> int:
    """The layer that an open commit writes into; the first write makes it."""
    if commit.own is not None:
        return commit.own
    layer = layers.create(txn)
    txn.db.execute("UPDATE commits SET own = ? WHERE id = ?", (layer, commit.id))
    return layer


def clear(txn: Txn, commit: Commit, base: bool) -> None:
    """Drops what was written into an open commit; without `base` also its parent's files.

    Raises:
        Refused: the commit has finished.
    """
    if commit.finishing is not None:
        raise Refused(f"commit {commit} has already finished")
    if commit.own is not None:
        layers.drop(txn, commit.own)
    txn.db.execute(
        "UPDATE commits SET own = NULL, base = ?, updated = ? WHERE id = ?", (base, txn.now, commit.id)
    )


def ancestor(db: sqlite3.Connection, commit: Commit, generations: int) -> Commit:
    """The commit's ancestor, `generations` commits back.

    Raises:
        Refused: the commit has fewer ancestors.
    """
    current = commit
    for _ in range(generations):
        if current.parent is None:
            raise not_found(f"commit {commit}^{generations} not found")
        current = by_id(db, current.parent)
    return current


def resolve_alias(db: sqlite3.Connection, repo_id: int, set_id: str) -> Commit | None:
    """The repo's newest commit that the commit set comes from (Pachyderm's ResolveCommitProvenance)."""
    row = db.execute(
        """WITH RECURSIVE up(id) AS (
             SELECT id FROM commits WHERE set_id = ?
             UNION SELECT p.upstream FROM commit_provenance p JOIN up ON p.commit_id = up.id)
           SELECT c.id FROM commits c JOIN up ON up.id = c.id WHERE c.repo = ? ORDER BY c.id DESC LIMIT 1""",
        (set_id, repo_id),
    ).fetchone()
    return by_id(db, row[0]) if row else None
