"""The store of one data folder, which the services and the worker share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import branches, commits, repos
from kfp_pachyderm.embedded.store.branch_triggers import triggers
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.files import layers
from kfp_pachyderm.embedded.store.files.changes import Changes
from kfp_pachyderm.embedded.store.files.chunks import Chunks
from kfp_pachyderm.embedded.store.files.file_sets import FileSets
from kfp_pachyderm.embedded.store.files.layers import File
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Database
from kfp_pachyderm.errors import StoreError


class Store:
    """Everything that the embedded Pachyderm keeps; a context manager.

    Args:
        folder: the data folder; made when missing.

    Raises:
        StoreError: the folder can't be used.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} can't be made: {error}. Give a data folder that can") from error
        self.folder = folder
        self.database = Database(folder / "pachyderm.db")
        self.chunks = Chunks(folder / "chunks")
        self.file_sets = FileSets()
        self.database.before_commit += [triggers.fire, branches.propagate]
        self._prepare()

    def _prepare(self) -> None:
        with self.database.write() as txn:
            if repos.find_project(txn.db, "default") is None:
                repos.create_project(txn, "default")
                txn.db.execute(
                    "INSERT INTO meta VALUES ('cluster_id', ?), ('cluster_metadata', '{}')", (txn.set_id,)
                )

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Waits for chunks that are being written, and closes the database."""
        self.chunks.close()
        self.database.close()

    def read(self) -> sqlite3.Connection:
        """This thread's connection for reading."""
        return self.database.read()

    def cluster_id(self) -> str:
        """This store's own ID."""
        found: str = self.read().execute("SELECT value FROM meta WHERE key = 'cluster_id'").fetchone()[0]
        return found

    def layers(self, commit: Commit) -> tuple[int, ...]:
        """The layers of a commit as it is now, newest first."""
        return commits.commit_layers(self.read(), commits.reload(self.read(), commit))

    def changes(self, base: Commit | None) -> Changes:
        """Collects a stream of changes to a commit's files; None: to no files."""

        def existing(prefix: str) -> list[str]:
            if base is None:
                return []
            return [file.path for file in layers.walk(self.read(), self.layers(base), prefix)]

        return Changes(self.database, self.chunks, existing)

    def modify(self, commit: Commit, changes: Changes) -> None:
        """Applies a stream of changes to an open commit."""
        changes.settle()
        with self.database.write(durable=False) as txn:
            changes.apply(txn, commit)

    def modify_branch(self, repo: RepoKey, branch: str, changes: Changes) -> Commit:
        """Applies a stream of changes in a new commit on a branch, and finishes it."""
        changes.settle()
        with self.database.write() as txn:
            commit = branches.start_commit(txn, repos.get_repo(txn.db, repo), branch)
            changes.apply(txn, commit)
            commits.finish(txn, commits.reload(txn.db, commit))
        return commit

    def content(
        self, commit: Commit, file: File, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """A file's bytes in pieces of at most 1 MiB.

        Raises:
            Refused: a chunk is damaged or missing; the text names the file and its commit.
        """
        wanted = file.size - offset if length is None else length
        try:
            yield from self.chunks.read(self.read(), file.refs, offset, wanted)
        except Refused as error:
            raise Refused(f"file {file.path} of {commit} can't be read: {error.text}", error.code) from error
