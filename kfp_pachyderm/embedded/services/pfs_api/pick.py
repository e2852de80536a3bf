"""Finds the commit that a client names: by ID, branch, ancestry, or a commit set that comes from it."""

from __future__ import annotations

import re
import sqlite3

import betterproto
from pachyderm_sdk.api import pfs

from kfp_pachyderm.embedded.services import messages
from kfp_pachyderm.embedded.status import Refused, invalid, not_found
from kfp_pachyderm.embedded.store import branches, commits
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.repos import Repo, RepoKey, get_repo
from kfp_pachyderm.embedded.store.sqlite.database import one_moment

#: An ID by Pachyderm's rule (src/internal/uuid): 32 hex digits with UUIDv4's version digit.
ID = re.compile(r"[0-9a-f]{12}4[0-9a-f]{19}")
_ANCESTRY = re.compile(r"([^~^.]*)(?:([~^.])(\d*|\2*))?")


def repo_of(handle: pfs.Commit) -> RepoKey:
    """The repo that a commit handle names, directly or through its branch."""
    return messages.repo_key(handle.branch.repo if handle.branch.repo.name else handle.repo)


def commit(db: sqlite3.Connection, handle: pfs.Commit) -> Commit:
    """The commit that a client names.

    Raises:
        Refused: the handle names nothing, or something that does not exist.
    """
    if not handle.id and not handle.branch.name:
        raise Refused("pick commit tx: cannot pick commit with no ID or branch")
    relative = handle.id[:1] in ("", "^", "~", ".")
    with one_moment(db):
        repo = get_repo(db, repo_of(handle))
        return _resolve(db, repo, handle.branch.name + handle.id if relative else handle.id)


def _resolve(db: sqlite3.Connection, repo: Repo, text: str) -> Commit:
    match = _ANCESTRY.fullmatch(text)
    if match is None:
        raise Refused(f'invalid ancestry syntax "{text}"')
    start, separator, count = match[1], match[2], match[3] or ""
    found = _by_id(db, repo, start) if ID.fullmatch(start) else _by_branch(db, repo, start)
    if not separator:
        return found
    steps = int(count) if count.isdigit() else len(count) + 1
    if separator != ".":
        return commits.ancestor(db, found, steps)
    return _from_root(db, found, steps)


def _by_id(db: sqlite3.Connection, repo: Repo, set_id: str) -> Commit:
    found = commits.find(db, repo.id, set_id) or commits.resolve_alias(db, repo.id, set_id)
    if found is None:
        raise not_found(f"commit {repo.key}@{set_id} not found")
    return found


def _by_branch(db: sqlite3.Connection, repo: Repo, name: str) -> Commit:
    branch = branches.get(db, (repo.key, name))
    if branch.head is None:
        raise not_found(f"commit {branch} not found")
    return commits.by_id(db, branch.head)


def _from_root(db: sqlite3.Connection, head: Commit, steps: int) -> Commit:
    line = [head]
    while line[-1].parent is not None:
        line.append(commits.by_id(db, line[-1].parent))
    if not 1 <= steps <= len(line):
        raise not_found(f"commit {head.repo}@{head.branch}.{steps} not found")
    return line[-steps]


def by_picker(db: sqlite3.Connection, picker: pfs.CommitPicker) -> Commit:
    """The commit that a CommitPicker names."""
    kind = betterproto.which_one_of(picker, "picker")[0]
    if kind == "id":
        return _by_id(db, get_repo(db, repo_by_picker(picker.id.repo)), picker.id.id)
    if kind == "branch_head":
        key, name = branch_by_picker(picker.branch_head)
        return _by_branch(db, get_repo(db, key), name)
    if kind == "ancestor":
        return commits.ancestor(db, by_picker(db, picker.ancestor.start), picker.ancestor.offset)
    if kind == "branch_root":
        key, name = branch_by_picker(picker.branch_root.branch)
        return _from_root(db, _by_branch(db, get_repo(db, key), name), picker.branch_root.offset + 1)
    raise invalid("commit picker is empty")


def repo_by_picker(picker: pfs.RepoPicker) -> RepoKey:
    """The repo that a RepoPicker names."""
    if not picker.name.name:
        raise invalid("repo picker is empty")
    return RepoKey(picker.name.project.name or "default", picker.name.name, picker.name.type or "user")


def branch_by_picker(picker: pfs.BranchPicker) -> branches.BranchKey:
    """The branch that a BranchPicker names."""
    if not picker.name.name:
        raise invalid("branch picker is empty")
    return repo_by_picker(picker.name.repo), picker.name.name
