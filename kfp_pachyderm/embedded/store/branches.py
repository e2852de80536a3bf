"""Branches: names for commits, and the commits that branches downstream get when a branch moves.

Source: Pachyderm src/server/pfs/server/server_branch.go.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from kfp_pachyderm.embedded.status import Refused, not_found
from kfp_pachyderm.embedded.store import commits
from kfp_pachyderm.embedded.store.branch_triggers import conditions
from kfp_pachyderm.embedded.store.commits import AUTO, Commit
from kfp_pachyderm.embedded.store.repos import Repo, RepoKey, check_name, get_repo, repo_by_id
from kfp_pachyderm.embedded.store.sqlite.database import Txn


@dataclass(frozen=True)
class Branch:
    """A row of `branches`, with its repo's name."""

    id: int
    repo_id: int
    repo: RepoKey
    name: str
    head: int | None
    trigger: dict[str, Any] | None
    created: int
    updated: int
    metadata: dict[str, str]

    def __str__(self) -> str:
        return f"{self.repo}@{self.name}"


BranchKey = tuple[RepoKey, str]

_BRANCH = """SELECT b.id, b.repo, r.project, r.name, r.type, b.name, b.head, b.trigger, b.created, b.updated,
  b.metadata FROM branches b JOIN repos r ON r.id = b.repo"""


def _branch(row: Any) -> Branch:
    trigger = json.loads(row[7]) if row[7] else None
    return Branch(
        row[0], row[1], RepoKey(*row[2:5]), row[5], row[6], trigger, row[8], row[9], json.loads(row[10])
    )


def select(db: sqlite3.Connection, where: str, values: tuple[Any, ...] = ()) -> list[Branch]:
    """The branches that an SQL clause selects ("WHERE ..."); `b` is the branch, `r` its repo."""
    return [_branch(row) for row in db.execute(f"{_BRANCH} {where}", values)]


def find(db: sqlite3.Connection, repo_id: int, name: str) -> Branch | None:
    """The repo's branch of that name, if there is one."""
    return next(iter(select(db, "WHERE b.repo = ? AND b.name = ?", (repo_id, name))), None)


def get(db: sqlite3.Connection, key: BranchKey) -> Branch:
    """The branch of that name."""
    repo, name = key
    found = next(
        iter(select(db, "WHERE (r.project, r.name, r.type, b.name) = (?, ?, ?, ?)", (*repo, name))), None
    )
    if found is None:
        raise not_found(f'branch "{name}" not found in repo {repo}')
    return found


def by_id(db: sqlite3.Connection, branch_id: int) -> Branch:
    """The branch with that row ID."""
    return select(db, "WHERE b.id = ?", (branch_id,))[0]


def upstream(db: sqlite3.Connection, branch_id: int) -> list[Branch]:
    """The branches that this one comes from directly."""
    where = "JOIN branch_provenance p ON p.upstream = b.id WHERE p.branch = ? ORDER BY b.id"
    return select(db, where, (branch_id,))


def all_upstream(db: sqlite3.Connection, branch_id: int) -> list[Branch]:
    """The branches that this one comes from, directly or not."""
    return _closure(db, branch_id, "upstream", "branch")


def all_downstream(db: sqlite3.Connection, branch_id: int) -> list[Branch]:
    """The branches that come from this one, directly or not."""
    return _closure(db, branch_id, "branch", "upstream")


def _closure(db: sqlite3.Connection, branch_id: int, to: str, start: str) -> list[Branch]:
    far = f"""WITH RECURSIVE far(id) AS (
      SELECT {to} FROM branch_provenance WHERE {start} = ?
      UNION SELECT p.{to} FROM branch_provenance p JOIN far ON p.{start} = far.id)"""  # noqa: S608
    where = f"WHERE b.id IN ({far} SELECT id FROM far) ORDER BY b.id"  # noqa: S608
    return select(db, where, (branch_id,))


def set_head(txn: Txn, branch_id: int, head: int) -> None:
    """Moves a branch. Branches downstream follow only if the caller adds it to `txn.moved`."""
    txn.db.execute("UPDATE branches SET head = ?, updated = ? WHERE id = ?", (head, txn.now, branch_id))


def ensure(txn: Txn, repo: Repo, name: str) -> Branch:
    """The repo's branch of that name, made without a head when missing."""
    known = find(txn.db, repo.id, name)
    if known is not None:
        return known
    row = (repo.id, name, txn.now, txn.now)
    txn.db.execute("INSERT INTO branches (repo, name, created, updated) VALUES (?, ?, ?, ?)", row)
    return get(txn.db, (repo.key, name))


def start_commit(
    txn: Txn,
    repo: Repo,
    branch_name: str,
    parent: Commit | None = None,
    description: str = "",
    internal: bool = False,
) -> Commit:
    """Opens a commit on a branch and moves the branch to it.

    Args:
        txn: the write transaction.
        repo: the branch's repo.
        branch_name: the branch; made when missing.
        parent: the commit's parent; None: the branch's head.
        description: free text.
        internal: allow it on branches with provenance, to which only Pachyderm itself commits.

    Raises:
        Refused: the branch has provenance, or the parent is not finished.
    """
    check_name(branch_name)
    branch = ensure(txn, repo, branch_name)
    sources = upstream(txn.db, branch.id)
    if sources and not internal:
        raise Refused(f"cannot start a commit on an output branch: {branch}")
    if parent is None and branch.head is not None:
        parent = commits.by_id(txn.db, branch.head)
    if parent is not None and parent.finishing is None:
        raise Refused(f"parent commit {parent} has not been finished")
    heads = [source.head for source in sources if source.head is not None]
    commit = commits.create(
        txn, repo.id, branch_name, parent.id if parent else None, heads, description=description
    )
    set_head(txn, branch.id, commit.id)
    txn.moved.append(branch.id)
    return commit


def create(
    txn: Txn,
    key: BranchKey,
    head: Commit | None = None,
    provenance: list[BranchKey] | None = None,
    trigger: dict[str, Any] | None = None,
    never: set[BranchKey] = frozenset(),  # type: ignore[assignment]
) -> Branch:
    """Makes or changes a branch: its head, its provenance, its trigger.

    Args:
        txn: the write transaction.
        key: the branch.
        head: the new head; None: the head stays, and a new branch gets an empty commit.
        provenance: all branches of its direct provenance; missing ones are made with an empty commit.
        trigger: Pachyderm's Trigger as JSON; None: the trigger stays.
        never: those of `provenance` whose moves must not propagate.
    """
    provenance = provenance or []
    _check(txn.db, key, provenance, trigger)
    sources = [_with_head(txn, source) for source in provenance]
    repo = get_repo(txn.db, key[0])
    branch = ensure(txn, repo, key[1])
    before = {one.id for one in upstream(txn.db, branch.id)}
    txn.db.execute("DELETE FROM branch_provenance WHERE branch = ?", (branch.id,))
    for source in sources:
        row = (branch.id, source.id, (source.repo, source.name) in never)
        txn.db.execute("INSERT OR IGNORE INTO branch_provenance VALUES (?, ?, ?)", row)
    if trigger and trigger.get("branch"):
        txn.db.execute("UPDATE branches SET trigger = ? WHERE id = ?", (json.dumps(trigger), branch.id))
    changed = bool(sources) and before != {source.id for source in sources}
    if head is not None:
        set_head(txn, branch.id, head.id)
    if (head is None and branch.head is None) or changed:
        current = by_id(txn.db, branch.id)
        set_head(txn, branch.id, empty_commit(txn, current, current.head).id)
    elif head is None:
        return by_id(txn.db, branch.id)
    txn.moved.append(branch.id)
    return by_id(txn.db, branch.id)


def _check(
    db: sqlite3.Connection, key: BranchKey, provenance: list[BranchKey], trigger: dict[str, Any] | None
) -> None:
    if provenance and trigger:
        raise Refused("a branch cannot have both provenance and a trigger")
    for _, name in [*provenance, key]:
        check_name(name)
    if any(repo == key[0] for repo, _ in provenance):
        raise Refused(f"repo {key[0]} cannot be in the provenance of its own branch")
    if trigger is not None:
        _check_trigger(db, key, trigger)


def _check_trigger(db: sqlite3.Connection, key: BranchKey, trigger: dict[str, Any]) -> None:
    if not trigger.get("branch"):
        raise Refused("triggers must specify a branch to trigger on")
    conditions.check(trigger)
    repo = get_repo(db, key[0])
    at: str = trigger["branch"]
    while at != key[1]:
        following = find(db, repo.id, at)
        if following is None or following.trigger is None:
            return
        at = following.trigger["branch"]
    raise Refused("triggers cannot form a loop")


def _with_head(txn: Txn, key: BranchKey) -> Branch:
    repo = get_repo(txn.db, key[0])
    branch = ensure(txn, repo, key[1])
    if branch.head is None:
        # A repo has one commit in a commit set, so a second new branch of the repo shares the empty commit.
        commit = commits.find(txn.db, repo.id, txn.set_id)
        commit = commit or empty_commit(txn, branch, None)
        set_head(txn, branch.id, commit.id)
    return by_id(txn.db, branch.id)


def empty_commit(txn: Txn, branch: Branch, parent: int | None) -> Commit:
    """Adds an empty commit of a branch: open if the branch has provenance, else closed (makeEmptyCommit).

    Args:
        txn: the write transaction.
        branch: the branch. Its head stays.
        parent: row ID of the commit's parent.
    """
    sources = upstream(txn.db, branch.id)
    heads = [source.head for source in sources if source.head is not None]
    return commits.create(txn, branch.repo_id, branch.name, parent, heads, AUTO, closed=not sources)


def propagate(txn: Txn) -> None:
    """Gives every branch downstream of a moved one a new open commit; `pps/jobs.py` makes jobs of these."""
    if not txn.moved:
        return
    for branch_id in dict.fromkeys(txn.moved):
        _check_structure(txn.db, branch_id)
    order: dict[int, Branch] = {}
    for branch_id in txn.moved:
        _collect(txn.db, branch_id, order)
    txn.moved.clear()
    for branch in sorted(order.values(), key=lambda one: len(all_upstream(txn.db, one.id))):
        _follow(txn, branch)
    txn.propagate_jobs = True


def _check_structure(db: sqlite3.Connection, branch_id: int) -> None:
    """Refuses two branches of one repo that provenance connects, in any direction (validateDAGStructure)."""
    together = """WITH RECURSIVE near(id) AS (
      SELECT ? UNION
      SELECT CASE WHEN p.branch = near.id THEN p.upstream ELSE p.branch END
        FROM branch_provenance p JOIN near ON near.id IN (p.branch, p.upstream))"""
    query = (
        f"{together} SELECT r.project, r.name, r.type FROM near JOIN branches b ON b.id = near.id "  # noqa: S608
        "JOIN repos r ON r.id = b.repo GROUP BY r.id HAVING count(*) > 1 LIMIT 1"
    )
    twice = db.execute(query, (branch_id,)).fetchone()
    if twice:
        raise Refused(
            f'validate DAG at end of transaction: multiple branches from the same repo, "{RepoKey(*twice)}", '
            "cannot participate in a DAG"
        )


def _collect(db: sqlite3.Connection, branch_id: int, order: dict[int, Branch]) -> None:
    rows = db.execute(
        "SELECT branch FROM branch_provenance WHERE upstream = ? AND never = 0", (branch_id,)
    ).fetchall()
    for (downstream,) in rows:
        if downstream not in order:
            order[downstream] = by_id(db, downstream)
            _collect(db, downstream, order)


def _follow(txn: Txn, branch: Branch) -> None:
    sources = upstream(txn.db, branch.id)
    spec_only = len(sources) == 1 and sources[0].repo.type == "spec"
    if spec_only or commits.find(txn.db, branch.repo_id, txn.set_id) is not None:
        return
    heads = [source.head for source in sources if source.head is not None]
    current = by_id(txn.db, branch.id)
    commit = commits.create(txn, branch.repo_id, branch.name, current.head, heads, AUTO)
    set_head(txn, branch.id, commit.id)


def delete(txn: Txn, key: BranchKey, force: bool = False) -> None:
    """Removes a branch; its commits stay."""
    branch = get(txn.db, key)
    downstream = all_downstream(txn.db, branch.id)
    if downstream and not force:
        names = ", ".join(str(one) for one in downstream)
        raise Refused(f"branch {branch} cannot be deleted because it's in the direct provenance of {names}")
    txn.db.execute("DELETE FROM branch_provenance WHERE branch = ? OR upstream = ?", (branch.id, branch.id))
    txn.db.execute("DELETE FROM branches WHERE id = ?", (branch.id,))


def repo_of(db: sqlite3.Connection, branch: Branch) -> Repo:
    """The branch's repo."""
    return repo_by_id(db, branch.repo_id)
