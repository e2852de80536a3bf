"""A `CommitView` in memory, for tests of the gateway without a store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from kfp_pachyderm.embedded.gateway.job_buckets import CommitView, FileEntry

PIECE = 2**20


class MemoryView:
    def __init__(self, files: dict[str, bytes] | None = None, committed: datetime | None = None) -> None:
        self.committed = committed or datetime.now(UTC)
        self.files = dict(files or {})

    def _entry(self, path: str) -> FileEntry:
        content = self.files[path]
        return FileEntry(
            path, len(content), hashlib.blake2b(content, digest_size=32).hexdigest(), self.committed
        )

    def inspect(self, path: str) -> FileEntry | None:
        return self._entry(path) if path in self.files else None

    def walk(self, prefix: str, after: str) -> Iterator[FileEntry]:
        for path in sorted(self.files, key=str.encode):
            if path.startswith(prefix) and path.encode() > after.encode():
                yield self._entry(path)

    def read(self, path: str, offset: int, length: int) -> Iterator[bytes]:
        content = self.files[path][offset : offset + length]
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]

    def put(self, path: str, content: Iterable[bytes]) -> FileEntry:
        self.files[path] = b"".join(content)
        return self._entry(path)

    def delete(self, path: str) -> None:
        self.files.pop(path, None)

    def copy(self, source: CommitView, source_path: str, path: str) -> FileEntry:
        entry = source.inspect(source_path)
        assert entry
        return self.put(path, source.read(source_path, 0, entry.size))
