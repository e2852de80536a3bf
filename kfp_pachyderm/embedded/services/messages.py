"""Makes Pachyderm's messages of rows of the store, and keys of the store of messages."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from pachyderm_sdk.api import pfs

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import branches, commits
from kfp_pachyderm.embedded.store.branches import Branch
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.repos import Project, Repo, RepoKey
from kfp_pachyderm.protocol.protobuf import field, number

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp(micros: int | None) -> datetime | None:
    """A time of the store, microseconds since 1970, as a message's field; None: unset."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def repo_key(repo: pfs.Repo) -> RepoKey:
    """The key of a client's Repo message; no project means `default`, no type `user`."""
    if not repo.name:
        raise Refused("repo cannot be nil")
    return RepoKey(repo.project.name or "default", repo.name, repo.type or "user")


def repo(key: RepoKey) -> pfs.Repo:
    """A repo's name as a message."""
    return pfs.Repo(name=key.name, type=key.type, project=pfs.Project(name=key.project))


def branch_key(branch: pfs.Branch) -> branches.BranchKey:
    """The key of a client's Branch message."""
    if not branch.name:
        raise Refused("branch must be specified")
    return repo_key(branch.repo), branch.name


def branch(key: RepoKey, name: str) -> pfs.Branch:
    """A branch's name as a message."""
    return pfs.Branch(repo=repo(key), name=name)


def commit(row: Commit) -> pfs.Commit:
    """A commit's name as a message."""
    return pfs.Commit(repo=repo(row.repo), id=row.set_id)


def project_info(row: Project) -> pfs.ProjectInfo:
    """A project."""
    return pfs.ProjectInfo(
        project=pfs.Project(name=row.name),
        description=row.description,
        created_at=timestamp(row.created),
        metadata=row.metadata,
    )


def repo_info(db: sqlite3.Connection, row: Repo) -> pfs.RepoInfo:
    """A repo with its branches. Its size is that of the head of `master`, as in Pachyderm."""
    found = branches.select(db, "WHERE b.repo = ? ORDER BY b.id", (row.id,))
    head = next((one.head for one in found if one.name == "master" and one.head is not None), None)
    size = commits.by_id(db, head).size if head is not None else 0
    return pfs.RepoInfo(
        repo=repo(row.key),
        created=timestamp(row.created),
        size_bytes_upper_bound=size,
        description=row.description,
        branches=[branch(row.key, one.name) for one in found],
        details=pfs.RepoInfoDetails(size_bytes=size),
        metadata=row.metadata,
    )


def branch_info(db: sqlite3.Connection, row: Branch) -> pfs.BranchInfo:
    """A branch with its head and provenance."""

    def names(found: list[Branch]) -> list[pfs.Branch]:
        return [branch(one.repo, one.name) for one in found]

    info = pfs.BranchInfo(
        branch=branch(row.repo, row.name),
        provenance=names(branches.all_upstream(db, row.id)),
        subvenance=names(branches.all_downstream(db, row.id)),
        direct_provenance=names(branches.upstream(db, row.id)),
        metadata=row.metadata,
        created_at=timestamp(row.created),
        updated_at=timestamp(row.updated),
    )
    if row.head is not None:
        info.head = commit(commits.by_id(db, row.head))
    if row.trigger:
        info.trigger = pfs.Trigger().from_dict(row.trigger)
    return info


def commit_info(db: sqlite3.Connection, row: Commit) -> pfs.CommitInfo:
    """A commit with its parent, children, state and provenance."""
    return pfs.CommitInfo().parse(commit_bytes(db, row))


def commit_bytes(db: sqlite3.Connection, row: Commit, listed: bool = False) -> bytes:
    """Encodes a CommitInfo by hand: a history has many, and betterproto takes milliseconds for each.

    Fields: Pachyderm src/pfs/pfs.proto, CommitInfo. Only ListCommit (`listed`) sets the upper bound of the
    size, too (src/server/pfs/server/server_commit.go, listCommit; measured).
    """
    times = ((6, row.started), (7, row.finishing), (8, row.finished), (17, row.started), (18, row.updated))
    entries = (field(1, key.encode()) + field(2, value.encode()) for key, value in row.metadata.items())
    return b"".join(
        (
            field(1, commit_name(row.repo, row.set_id)),
            field(2, number(1, row.origin)),
            field(3, row.description.encode()) if row.description else b"",
            *(field(4, one) for one in _family(db, "c.id = ?", row.parent) if row.parent is not None),
            *(field(5, one) for one in _family(db, "c.parent = ?", row.id)),
            *(field(key, moment(micros)) for key, micros in times if micros is not None),
            field(10, row.error.encode()) if row.error else b"",
            number(11, row.size) if row.size and listed else b"",
            field(12, number(1, row.size) if row.size else b"") if row.finished is not None else b"",
            *(field(13, one) for one in _family(db, _ABOVE, row.id)),
            *(field(14, one) for one in entries),
            *(field(15, one) for one in _family(db, _BELOW, row.id)),
        )
    )


_ABOVE = "c.id IN (SELECT upstream FROM commit_provenance WHERE commit_id = ?)"
_BELOW = "c.id IN (SELECT commit_id FROM commit_provenance WHERE upstream = ?)"


def _family(db: sqlite3.Connection, where: str, value: int | None) -> list[bytes]:
    """Encoded names of the commits that an SQL condition selects."""
    query = "SELECT r.project, r.name, r.type, c.set_id FROM commits c JOIN repos r ON r.id = c.repo"
    rows = db.execute(f"{query} WHERE {where} ORDER BY c.id", (value,))
    return [commit_name(RepoKey(*row[:3]), row[3]) for row in rows]


@lru_cache(10_000)
def commit_name(key: RepoKey, set_id: str) -> bytes:
    """Encodes a commit's name."""
    return bytes(pfs.Commit(repo=repo(key), id=set_id))


def moment(micros: int) -> bytes:
    """Encodes a Timestamp of a time of the store, microseconds since 1970."""
    seconds, rest = divmod(micros, 10**6)
    return number(1, seconds) + (number(2, rest * 1000) if rest else b"")


class FileInfos:
    """Encodes FileInfo messages of one commit by hand: a listing has many, and betterproto is slow.

    Fields: Pachyderm src/pfs/pfs.proto, FileInfo and File.
    """

    def __init__(self, row: Commit) -> None:
        self._commit = field(1, bytes(commit(row)))
        head = pfs.FileInfo()
        if row.finishing is not None:
            head.committed = timestamp(row.finishing)
        self._committed = bytes(head)

    def encode(self, path: str, size: int, hash_: bytes) -> bytes:
        """One FileInfo; a folder's path ends with a slash."""
        kind = number(2, pfs.FileType.DIR if path.endswith("/") else pfs.FileType.FILE)
        length = number(4, size) if size else b""
        file = field(1, self._commit + field(2, path.encode()))
        return file + kind + self._committed + length + field(5, hash_)


def trigger_json(trigger: pfs.Trigger | None) -> dict[str, Any] | None:
    """A trigger as JSON, which the store keeps; None: no trigger."""
    if trigger is None or not bytes(trigger):
        return None
    found: dict[str, Any] = trigger.to_dict()
    return found
