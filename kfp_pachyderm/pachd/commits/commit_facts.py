"""Commits by the thousand: the calls and the few fields that a history needs.

betterproto takes milliseconds for each CommitInfo, most of it for the commits that one names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, commit_message, repo_message, repo_picker
from kfp_pachyderm.pachd.sdk import pfs
from kfp_pachyderm.protocol.protobuf import fields

_PFS = "/pfs_v2.API/"


@dataclass(frozen=True)
class CommitFacts:
    """What Pachyderm says of one commit (src/pfs/pfs.proto, CommitInfo).

    Args:
        commit: the commit.
        repo_type: "user", or what Pachyderm keeps for itself: "spec", "meta".
        started: when it was begun; None where that is not known.
        finished: when it was closed and validated; None: not yet.
        error: what went wrong; "".
        size: bytes of its files; 0 while it is open.
        inputs: commits of users' repos that it was made from directly.
        below: commits of users' repos that were made from it directly.
        by_pipeline: whether a pipeline made it.
        metadata: what was written on it.
    """

    commit: Reference
    repo_type: str
    started: datetime | None
    finished: datetime | None
    error: str
    size: int
    inputs: tuple[Reference, ...]
    below: tuple[Reference, ...]
    by_pipeline: bool
    metadata: dict[str, str] = field(default_factory=dict)


def inspect(pachd: Pachd, commit: Reference) -> CommitFacts:
    """The commit, or the head of the branch, as it is now.

    Raises:
        NotFoundError: there is none.
    """
    request = pfs.InspectCommitRequest(commit=commit_message(commit))
    return decode(pachd.raw(f"{_PFS}InspectCommit", bytes(request)))


def walk(pachd: Pachd, start: Reference, down: bool, depth: int) -> Iterator[CommitFacts]:
    """All that a commit was made from, or with `down` was made from it, without itself; `depth` 0: all of it.

    Pachyderm goes 1,000 levels deep and gives 10,000 commits at most (src/internal/pfsdb/common.go,
    defaultGraphOptions), and stops at the first repo that the caller may not see.
    """
    picker = pfs.CommitPicker(
        id=pfs.CommitPickerCommitByGlobalId(repo=repo_picker(start.project, start.repo), id=start.version)
    )
    name = "WalkCommitSubvenance" if down else "WalkCommitProvenance"
    request = pfs.WalkCommitProvenanceRequest(start=[picker], max_depth=depth)
    return map(decode, pachd.raw_stream(f"{_PFS}{name}", bytes(request)))


def of_repo(pachd: Pachd, project: str, repo: str) -> Iterator[bytes]:
    """All commits of a repo, newest first, not yet decoded."""
    request = pfs.ListCommitRequest(repo=repo_message(project, repo), all=True)
    return pachd.raw_stream(f"{_PFS}ListCommit", bytes(request))


def of_set(pachd: Pachd, set_id: str) -> Iterator[CommitFacts]:
    """The commits of a commit set.

    Raises:
        NotFoundError: there is no such set.
    """
    request = pfs.InspectCommitSetRequest(commit_set=pfs.CommitSet(id=set_id))
    return map(decode, pachd.raw_stream(f"{_PFS}InspectCommitSet", bytes(request)))


def decode(data: bytes) -> CommitFacts:
    """A CommitInfo of the wire."""
    found: dict[int, list[Any]] = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)
    commit, repo_type = _commit(found[1][0])
    above = [_commit(one) for one in found.get(13, ())]
    return CommitFacts(
        commit,
        repo_type,
        timestamp(found.get(6, [None])[0]),
        timestamp(found.get(8, [None])[0]),
        found.get(10, [b""])[0].decode(),
        # details: size 1; open commits have none
        _number(dict(fields(found.get(12, [b""])[0])).get(1)),
        tuple(one for one, kind in above if kind == "user"),
        tuple(one for one, kind in map(_commit, found.get(15, ())) if kind == "user"),
        any(kind == "spec" for _, kind in above),
        dict(map(_entry, found.get(14, ()))),
    )


@lru_cache(10_000)
def _commit(data: bytes) -> tuple[Reference, str]:
    """Commit: repo 3, ID 2. Repo: name 1, type 2, project 3. Project: name 1."""
    commit = dict(fields(data))
    repo = dict(fields(_bytes(commit.get(3))))
    project = dict(fields(_bytes(repo.get(3))))
    names = (project.get(1), repo.get(1), commit.get(2))
    return Reference(*(_bytes(one).decode() for one in names)), _bytes(repo.get(2)).decode()


def _entry(data: bytes) -> tuple[str, str]:
    entry = dict(fields(data))
    return _bytes(entry.get(1)).decode(), _bytes(entry.get(2)).decode()


def _bytes(value: int | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else b""


def _number(value: int | bytes | None) -> int:
    return value if isinstance(value, int) else 0


def timestamp(data: bytes | None) -> datetime | None:
    """A Timestamp: seconds 1, nanoseconds 2; None where it is not set."""
    parts = dict(fields(data or b""))
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int) or seconds == nanos == 0:
        return None
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)
