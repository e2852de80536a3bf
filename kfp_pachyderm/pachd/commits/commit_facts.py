"""Reads thousands of commits quickly: decodes only the fields of a CommitInfo that a history needs.

betterproto takes milliseconds for each CommitInfo, most of them for the commits in its provenance.
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
    """One commit (src/pfs/pfs.proto, CommitInfo).

    Args:
        commit: the commit.
        repo_type: the type of its repo: "user", or one of Pachyderm's own: "spec", "meta".
        started: when it was started; None if that is not known.
        finished: when Pachyderm finished and validated it; None: not yet.
        error: the error with which it was finished, "" for none.
        size: bytes of its files; 0 while it is open.
        inputs: the commits in its direct provenance, of user repos only.
        below: the commits in its direct subvenance (made from it), of user repos only.
        by_pipeline: whether a pipeline made it.
        metadata: its metadata.
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
    """Inspects a commit, or the head of a branch.

    Raises:
        NotFoundError: there is no such commit.
    """
    request = pfs.InspectCommitRequest(commit=commit_message(commit))
    return decode(pachd.raw(f"{_PFS}InspectCommit", bytes(request)))


def walk(pachd: Pachd, start: Reference, down: bool, depth: int) -> Iterator[CommitFacts]:
    """Yields the commits in a commit's provenance, or with `down` in its subvenance, without itself.

    Pachyderm goes at most 1,000 levels deep and gives at most 10,000 commits (src/internal/pfsdb/common.go,
    defaultGraphOptions). It stops at the first repo that the caller may not read.

    Args:
        pachd: the connection.
        start: the commit.
        down: whether to walk the subvenance.
        depth: the number of levels to walk, 0 for all.
    """
    picker = pfs.CommitPicker(
        id=pfs.CommitPickerCommitByGlobalId(repo=repo_picker(start.project, start.repo), id=start.version)
    )
    name = "WalkCommitSubvenance" if down else "WalkCommitProvenance"
    request = pfs.WalkCommitProvenanceRequest(start=[picker], max_depth=depth)
    return map(decode, pachd.raw_stream(f"{_PFS}{name}", bytes(request)))


def of_repo(pachd: Pachd, project: str, repo: str) -> Iterator[bytes]:
    """Yields all commits of a repo, newest first, each an encoded CommitInfo for `decode`."""
    request = pfs.ListCommitRequest(repo=repo_message(project, repo), all=True)
    return pachd.raw_stream(f"{_PFS}ListCommit", bytes(request))


def of_set(pachd: Pachd, set_id: str) -> Iterator[CommitFacts]:
    """Yields the commits of a commit set.

    Raises:
        NotFoundError: there is no such commit set.
    """
    request = pfs.InspectCommitSetRequest(commit_set=pfs.CommitSet(id=set_id))
    return map(decode, pachd.raw_stream(f"{_PFS}InspectCommitSet", bytes(request)))


def decode(data: bytes) -> CommitFacts:
    """Decodes a CommitInfo."""
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
    """Decodes a Commit. Its field numbers: repo 3, ID 2; Repo: name 1, type 2, project 3; Project: name 1."""
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
    """Decodes a Timestamp (field numbers: seconds 1, nanoseconds 2); returns None if it is not set."""
    parts = dict(fields(data or b""))
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int) or seconds == nanos == 0:
        return None
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)
