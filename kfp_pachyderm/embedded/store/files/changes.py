"""ModifyFile: one stream of changes, applied as a whole or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import commits
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.files import layers, paths
from kfp_pachyderm.embedded.store.files.chunks import Chunks, Content, content, reference, references
from kfp_pachyderm.embedded.store.files.layers import File
from kfp_pachyderm.embedded.store.files.spool import Spool
from kfp_pachyderm.embedded.store.sqlite.database import Database, Txn


class Changes:
    """Collects one stream's changes; content goes to the chunk store as it comes.

    Args:
        database: gets small chunks, before `apply` if there are many.
        chunks: gets the other chunks.
        existing: returns the paths of the commit's files that start with a prefix; for deleting folders.
    """

    def __init__(self, database: Database, chunks: Chunks, existing: Callable[[str], list[str]]) -> None:
        self._database = database
        self._chunks = chunks
        self._existing = existing
        self._spool = Spool(chunks, self._spill)
        self._txn: Txn | None = None
        self._current = ""
        #: Path → references of the parts that this stream has written; None: the stream has deleted it.
        self._parts: dict[str, list[bytes] | None] = {}
        #: Paths that keep their content from before this stream, in front of the stream's.
        self._appended: set[str] = set()

    def _spill(self, small: dict[bytes, bytes]) -> None:
        if self._txn:
            _store_small(self._txn, small)
            return
        with self._database.write(durable=False) as txn:
            _store_small(txn, small)

    def add(self, path: str, data: bytes | memoryview) -> None:
        """Appends to a file."""
        if path != self._current:
            self._close_file()
            paths.validate(path)
            self._current = path
        self._spool.write(data)

    def _close_file(self) -> None:
        if self._current:
            self._append(paths.clean(self._current), self._spool.end_file())
            self._current = ""

    def _append(self, path: str, refs: bytes) -> None:
        if path not in self._parts:
            self._appended.add(path)
        self._parts[path] = [*(self._parts.get(path) or []), refs]

    def delete(self, path: str) -> None:
        """Removes a file; or a folder and all files in it, if the path ends with a slash."""
        self._close_file()
        paths.validate(path)
        name = paths.clean(path)
        if not path.endswith("/"):
            self._mark_deleted(name)
            return
        top = name if name == "/" else name + "/"
        for one in {*self._existing(top), *(known for known in self._parts if known.startswith(top))}:
            self._mark_deleted(one)

    def _mark_deleted(self, path: str) -> None:
        self._parts[path] = None
        self._appended.discard(path)

    def copy(self, files: list[File], source: str, target: str, append: bool) -> None:
        """Copies the references of files: those at or below `source` go to or below `target`."""
        self._close_file()
        source, target = paths.clean(source), paths.clean(target)
        for file in files:
            path = paths.clean(target + "/" + file.path[len(source) :])
            paths.validate(path)
            if not append:
                self._mark_deleted(path)
            self._append(path, file.refs)

    def settle(self) -> None:
        """Waits until all chunk files are synced to disk; `apply` stores the small chunks."""
        self._close_file()
        self._spool.settle()

    def apply(self, txn: Txn, commit: Commit) -> None:
        """Applies the changes to an open commit; may be called again for another commit.

        Raises:
            Refused: the commit has finished.
        """
        commit = commits.reload(txn.db, commit)
        if commit.finishing is not None:
            raise Refused(f"commit {commit} has already finished")
        shown = commits.commit_layers(txn.db, commit)
        self._txn = txn
        _store_small(txn, self._spool.small)
        layers.put(txn, commits.own_layer(txn, commit), self._contents(txn, shown))

    def _contents(self, txn: Txn, shown: tuple[int, ...]) -> dict[str, Content | None]:
        found = {
            path: None if parts is None else self._joined(txn, [*self._earlier(txn, shown, path), *parts])
            for path, parts in self._parts.items()
        }
        self._spool.settle()
        _store_small(txn, self._spool.small)
        return found

    def _earlier(self, txn: Txn, shown: tuple[int, ...], path: str) -> list[bytes]:
        before = layers.inspect(txn.db, shown, path) if path in self._appended else None
        return [before.refs] if before else []

    def _joined(self, txn: Txn, parts: list[bytes]) -> Content:
        """Joins a file's parts and cuts them as one, as Pachyderm does for its hash (fileset/merge.go)."""
        found = [references(refs) for refs in parts if refs]
        chunks = [chunk for part in found for chunk in part]
        if len(found) < 2:
            return content(b"".join(reference(*chunk) for chunk in chunks))
        ends = itertools.accumulate(len(part) for part in found)
        return content(
            self._spool.join(chunks, {end - 1 for end in ends} - {len(chunks) - 1}, self._reader(txn))
        )

    def _reader(self, txn: Txn) -> Callable[[bytes], Iterator[bytes]]:
        def read(refs: bytes) -> Iterator[bytes]:
            return self._chunks.read(txn.db, refs, 0, sum(size for _, size in references(refs)))

        return read


def _store_small(txn: Txn, small: dict[bytes, bytes]) -> None:
    txn.db.executemany("INSERT OR IGNORE INTO small_chunks VALUES (?, ?)", small.items())
