"""A commit as a job's sidecar shows it, with the permissions of the request's caller."""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.embedded.auth import guard
from kfp_pachyderm.embedded.gateway.job_buckets import FileEntry
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.files.layers import File
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.embedded.store.view import StoreView


class GuardedView(StoreView):
    """A `StoreView` that checks the permissions of the caller whose token signed the request.

    Writing a file needs no permission, inspecting it afterwards does. So a PUT without REPO_INSPECT_FILE is
    stored and answered with an error, as in Pachyderm (src/server/pfs/s3/object.go).
    """

    def __init__(self, store: Store, commit: Commit) -> None:
        super().__init__(store, commit)
        self._read, self._repo = store.read, commit.repo

    def find(self, path: str) -> File | None:
        """The file at exactly this path."""
        guard.check_repo(self._read(), self._repo, "REPO_LIST_FILE")
        return super().find(path)

    def walk(self, prefix: str, after: str) -> Iterator[FileEntry]:
        """Files in byte order of their paths."""
        guard.check_repo(self._read(), self._repo, "REPO_LIST_FILE")
        return super().walk(prefix, after)

    def read(self, path: str, offset: int, length: int) -> Iterator[bytes]:
        """`length` bytes of a file from `offset`, in pieces of at most 1 MiB."""
        guard.check_repo(self._read(), self._repo, "REPO_READ")
        return super().read(path, offset, length)

    def _written(self, path: str) -> FileEntry:
        guard.check_repo(self._read(), self._repo, "REPO_INSPECT_FILE")
        return super()._written(path)
