"""One commit's files as the sidecar's S3 gateway reads and writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from kfp_pachyderm.embedded.gateway.job_buckets import CommitView, FileEntry
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import commits
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.files import layers, paths
from kfp_pachyderm.embedded.store.files.changes import Changes
from kfp_pachyderm.embedded.store.files.layers import File
from kfp_pachyderm.embedded.store.store import Store


class StoreView:
    """A `CommitView` over the store.

    Args:
        store: the store.
        commit: the commit. Every call looks it up again, since an open commit changes.
    """

    def __init__(self, store: Store, commit: Commit) -> None:
        self._store = store
        self._commit = commit

    def _entry(self, file: File) -> FileEntry:
        commit = commits.reload(self._store.read(), self._commit)
        written = commit.finishing or commit.updated
        return FileEntry(file.path, file.size, file.hash.hex(), datetime.fromtimestamp(written / 1e6, UTC))

    def find(self, path: str) -> File | None:
        """The file at exactly this path."""
        return layers.inspect(self._store.read(), self._store.layers(self._commit), paths.clean(path))

    def inspect(self, path: str) -> FileEntry | None:
        """The file at exactly this path; None for nothing and for directories."""
        file = self.find(path)
        return self._entry(file) if file else None

    def walk(self, prefix: str, after: str) -> Iterator[FileEntry]:
        """Files whose path starts with `prefix` and is greater than `after`, in byte order of their paths."""
        commit = commits.reload(self._store.read(), self._commit)
        written = datetime.fromtimestamp((commit.finishing or commit.updated) / 1e6, UTC)
        shown = self._store.layers(commit)
        for file in layers.walk(self._store.read(), shown, prefix, after):
            yield FileEntry(file.path, file.size, file.hash.hex(), written)

    def read(self, path: str, offset: int, length: int) -> Iterator[bytes]:
        """`length` bytes of a file from `offset`, in pieces of at most 1 MiB."""
        file = self.find(path)
        if file is None:
            raise Refused(f"file {path} not found in repo {self._commit.repo}", "NOT_FOUND")
        return self._store.content(self._commit, file, offset, length)

    def put(self, path: str, content: Iterable[bytes]) -> FileEntry:
        """Replaces the file by `content` (one ModifyFile: delete, then add)."""
        changes = self._changes()
        changes.delete(paths.clean(path))
        changes.add(path, b"")
        for piece in content:
            changes.add(path, piece)
        return self._apply(changes, path)

    def delete(self, path: str) -> None:
        """Removes the file; nothing happens if there is none."""
        changes = self._changes()
        changes.delete(paths.clean(path))
        self._store.modify(self._commit, changes)

    def copy(self, source: CommitView, source_path: str, path: str) -> FileEntry:
        """Replaces the file by another commit's, without copying content."""
        assert isinstance(source, StoreView)
        file = source.find(source_path)
        if file is None:
            raise Refused(f"file {source_path} not found", "NOT_FOUND")
        changes = self._changes()
        changes.copy([file], file.path, path, append=False)
        return self._apply(changes, path)

    def _changes(self) -> Changes:
        return self._store.changes(self._commit)

    def _apply(self, changes: Changes, path: str) -> FileEntry:
        self._store.modify(self._commit, changes)
        return self._written(path)

    def _written(self, path: str) -> FileEntry:
        entry = self.inspect(path)
        if entry is None:
            raise Refused(f"file {path} was removed while it was written", "ABORTED")
        return entry
