"""Users' key-value pairs on projects, repos, branches, commits, pipelines and the cluster."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from kfp_pachyderm.embedded.store.sqlite.database import Txn

Pairs = dict[str, str]

#: Table → the SQL condition that finds a row.
TABLES = {
    "projects": "name = ?",
    "repos": "id = ?",
    "branches": "id = ?",
    "commits": "id = ?",
    "pipelines": "(project, name) = (?, ?)",
}


def of_cluster(db: sqlite3.Connection) -> Pairs:
    """The cluster's pairs."""
    found: Pairs = json.loads(
        db.execute("SELECT value FROM meta WHERE key = 'cluster_metadata'").fetchone()[0]
    )
    return found


def edit_cluster(txn: Txn, change: Callable[[Pairs], Pairs]) -> None:
    """Replaces the cluster's pairs by what `change` makes of them."""
    new = json.dumps(change(of_cluster(txn.db)))
    txn.db.execute("UPDATE meta SET value = ? WHERE key = 'cluster_metadata'", (new,))


def edit(txn: Txn, table: str, key: tuple[object, ...], change: Callable[[Pairs], Pairs]) -> None:
    """Replaces a row's pairs by what `change` makes of them."""
    where = TABLES[table]
    query = f"SELECT metadata FROM {table} WHERE {where} LIMIT 1"  # noqa: S608
    row = txn.db.execute(query, key).fetchone()
    new = json.dumps(change(json.loads(row[0])))
    txn.db.execute(f"UPDATE {table} SET metadata = ? WHERE {where}", (new, *key))  # noqa: S608
