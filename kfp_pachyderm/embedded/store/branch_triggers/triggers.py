"""Moves branches with a trigger to another branch's head, once the trigger's conditions are met.

Source: Pachyderm src/server/pfs/server/master_trigger.go.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from kfp_pachyderm.embedded.store import branches, commits
from kfp_pachyderm.embedded.store.branch_triggers.conditions import size_of
from kfp_pachyderm.embedded.store.branch_triggers.schedule import parse as parse_schedule
from kfp_pachyderm.embedded.store.branches import Branch
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.sqlite.database import Txn


def fire(txn: Txn) -> None:
    """Moves the branches whose trigger is met by a commit that finished without error in this transaction."""
    for commit_id in list(txn.finished):
        commit = next(iter(commits.select(txn.db, "WHERE c.id = ? AND c.error = ''", (commit_id,))), None)
        if commit is not None:
            found = branches.select(txn.db, "WHERE b.repo = ?", (commit.repo_id,))
            _fire_along(txn, {branch.name: branch for branch in found}, commit)


def _fire_along(txn: Txn, found: dict[str, Branch], commit: Commit) -> None:
    """Moves the branches whose trigger the commit meets, and those whose trigger watches a moved branch."""
    heads: dict[str, Commit | None] = {commit.branch: commit}

    def follow(branch: Branch) -> Commit | None:
        if branch.name in heads:
            return heads[branch.name]
        heads[branch.name] = None
        trigger = branch.trigger or {}
        watched = found.get(trigger.get("branch", ""))
        head = follow(watched) if watched is not None else None
        if head is None or head.id == branch.head or not _met(txn.db, trigger, branch, head):
            return None
        heads[branch.name] = head
        branches.set_head(txn, branch.id, head.id)
        txn.moved.append(branch.id)
        return head

    for branch in found.values():
        follow(branch)


def _met(db: sqlite3.Connection, trigger: dict[str, Any], branch: Branch, new: Commit) -> bool:
    old = commits.by_id(db, branch.head) if branch.head is not None else None
    results = []
    if trigger.get("size"):
        results.append(new.size - (old.size if old else 0) >= size_of(trigger["size"]))
    if trigger.get("rateLimitSpec"):
        since = (old.finishing or 0) if old else 0
        results.append(parse_schedule(trigger["rateLimitSpec"]).next(since) < (new.finishing or 0))
    wanted = int(trigger.get("commits") or 0)
    if wanted:
        results.append(_commits_between(db, branch.head, new, wanted) == wanted)
    # Without any condition a trigger fires only with `all`, as in Pachyderm.
    return all(results) if trigger.get("all") else any(results)


def _commits_between(db: sqlite3.Connection, old: int | None, new: Commit, limit: int) -> int:
    found, at = 0, new
    while found < limit:
        if at.parent is None:
            return found + (at.origin != commits.AUTO)
        if at.id == old:
            return found
        at = commits.by_id(db, at.parent)
        found += 1
    return found
