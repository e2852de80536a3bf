"""What the sidecar's S3 gateway needs of the store: one job's buckets, each a view of a commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class FileEntry:
    """One file of a commit.

    Args:
        path: absolute, as Pachyderm has it ("/dir/name").
        size: bytes.
        hash: 64 hex digits, Pachyderm's own hash of the content (the gateway's ETag).
        committed: when the file was written.
    """

    path: str
    size: int
    hash: str
    committed: datetime


class CommitView(Protocol):
    """The files of one commit; the output commit's view also takes changes, each atomic by itself."""

    def inspect(self, path: str) -> FileEntry | None:
        """The file at exactly this path; None for nothing and for directories."""

    def walk(self, prefix: str, after: str) -> Iterator[FileEntry]:
        """Files whose path starts with `prefix` and is greater than `after`, in byte order of their paths."""

    def read(self, path: str, offset: int, length: int) -> Iterator[bytes]:
        """`length` bytes of a file from `offset`, in pieces of at most 1 MiB."""

    def put(self, path: str, content: Iterable[bytes]) -> FileEntry:
        """Replaces the file by `content` (one ModifyFile: delete, then add)."""

    def delete(self, path: str) -> None:
        """Removes the file; nothing happens if there is none."""

    def copy(self, source: CommitView, source_path: str, path: str) -> FileEntry:
        """Replaces the file by another commit's, without copying content."""


@dataclass(frozen=True)
class Bucket:
    """One bucket of a job's sidecar.

    Args:
        name: the input's name, or "out".
        writable: True for "out" only.
        commit_id: the job's ID for every bucket, as the real sidecar answers in x-amz-version-id.
        created: the repo's creation time.
        view: its files.
    """

    name: str
    writable: bool
    commit_id: str
    created: datetime
    view: CommitView


@dataclass(frozen=True)
class JobBuckets:
    """What one job's sidecar serves.

    Args:
        service: "s3-<md5>", the first label of the Host that is routed to this job.
        buckets: by name.
        token: the job's token (access key = secret key) when auth is on, else None.
        sign_in: with auth on, tells whether a token is a principal's; None: only `token` is valid.
        may_upload: with auth on, refuses a caller who may not store parts of a multipart upload.
    """

    service: str
    buckets: dict[str, Bucket]
    token: str | None = None
    sign_in: Callable[[str], bool] | None = None
    may_upload: Callable[[], None] = lambda: None
