"""Lists a commit's files and the folders that their paths make, with sizes and hashes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.files import layers as layers_
from kfp_pachyderm.embedded.store.files import paths
from kfp_pachyderm.embedded.store.files.layers import File

Layers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a folder (its path ends with a slash; hash and size sum up what is below)."""

    path: str
    size: int
    hash: bytes

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path.endswith("/")


@dataclass
class _Folder:
    path: str
    size: int = 0
    hash: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=32))

    def add(self, size: int, hash_: bytes) -> None:
        self.size += size
        self.hash.update(hash_)

    def entry(self) -> Entry:
        return Entry(self.path, self.size, self.hash.digest())


def _checked(files: Iterable[File]) -> Iterator[File]:
    previous = "\0"
    for file in files:
        if file.path.startswith(previous + "/"):
            raise Refused(f"file / directory path collision ({file.path})")
        previous = file.path
        yield file


def _folders(
    files: Iterable[File], top: str, closed: Callable[[Entry, int], None]
) -> Iterator[tuple[File, int]]:
    """Yields each file and its depth below `top`; calls `closed` for a folder, behind its last file."""
    stack = [_Folder(top)]

    def close() -> None:
        folder = stack.pop()
        entry = folder.entry()
        if stack:
            stack[-1].add(entry.size, entry.hash)
        closed(entry, len(stack))

    for file in files:
        while not file.path.startswith(stack[-1].path):
            close()
        for name in file.path[len(stack[-1].path) :].split("/")[:-1]:
            stack.append(_Folder(f"{stack[-1].path}{name}/"))
        stack[-1].add(file.size, file.hash)
        yield file, len(stack)
    while stack:
        close()


def inspect(db: sqlite3.Connection, layers: Layers, path: str) -> Entry | None:
    """The file or folder at a path."""
    path = paths.clean(path)
    file = layers_.inspect(db, layers, path) if path != "/" else None
    if file is not None:
        if layers_.exists_below(db, layers, path + "/"):
            raise Refused(f"file / directory path collision ({path})")
        return Entry(path, file.size, file.hash)
    top = path if path == "/" else path + "/"
    found: list[Entry] = []
    deque(_folders(_checked(layers_.walk(db, layers, top)), top, lambda entry, _: found.append(entry)), 0)
    # Inner folders close before outer ones, so the folder itself comes last.
    return found[-1] if found[-1].hash != _EMPTY_FOLDER else None


_EMPTY_FOLDER = hashlib.blake2b(digest_size=32).digest()


def children(db: sqlite3.Connection, layers: Layers, path: str) -> Iterator[Entry]:
    """Files and folders directly in a folder; the file itself if `path` is a file's."""
    path = paths.clean(path)
    if path != "/":
        file = layers_.inspect(db, layers, path)
        if file is not None:
            yield Entry(path, file.size, file.hash)
    top = path if path == "/" else path + "/"
    closed: list[Entry] = []

    def note(entry: Entry, depth: int) -> None:
        if depth == 1:
            closed.append(entry)

    for file, depth in _folders(_checked(layers_.walk(db, layers, top)), top, note):
        yield from closed
        closed.clear()
        if depth == 1:
            yield Entry(file.path, file.size, file.hash)
    yield from closed


def walk(db: sqlite3.Connection, layers: Layers, path: str, prefix: str | None = None) -> Iterator[Entry]:
    """A folder and everything below it, parents first; the file itself if `path` is a file's.

    Args:
        db: a connection for reading.
        layers: the commit's layers.
        path: the folder or file.
        prefix: leave out paths that do not start with it (sizes of folders above are then too small).
    """
    path = paths.clean(path)
    if path != "/":
        file = layers_.inspect(db, layers, path)
        if file is not None:
            yield Entry(path, file.size, file.hash)
            return
    top = path if path == "/" else path + "/"
    folders: dict[str, Entry] = {}
    first = layers_.walk(db, layers, prefix or top)
    deque(_folders(_checked(first), top, lambda entry, _: folders.__setitem__(entry.path, entry)), 0)
    if len(folders) == 1 and folders[top].hash == _EMPTY_FOLDER:
        return
    yield folders[top]
    seen = top
    for file in layers_.walk(db, layers, prefix or top):
        folder = file.path[: file.path.rindex("/") + 1]
        if folder != seen:
            yield from _entered(folders, seen, folder)
            seen = folder
        yield Entry(file.path, file.size, file.hash)


def _entered(folders: dict[str, Entry], before: str, now: str) -> Iterator[Entry]:
    at = 0
    while (at := now.find("/", at) + 1) > 0:
        part = now[:at]
        if not before.startswith(part) and part in folders:
            yield folders[part]


def glob(db: sqlite3.Connection, layers: Layers, pattern: str) -> Iterator[Entry]:
    """Files and folders that match a glob."""
    pattern = paths.clean(pattern)
    if paths.is_literal(pattern):
        entry = inspect(db, layers, pattern)
        yield from [entry] if entry else []
        return
    regex = paths.glob_regex(pattern)
    for entry in walk(db, layers, "/", paths.literal_prefix(pattern)):
        if entry.path != "/" and regex.fullmatch(entry.path.rstrip("/")):
            yield entry


def page(
    entries: Iterator[Entry], marker: str | None = None, number: int = 0, reverse: bool = False
) -> Iterable[Entry]:
    """A page of a listing, as ListFile and WalkFile return it.

    Args:
        entries: the whole listing.
        marker: only what comes after this path (before it, if reverse); None: from the beginning.
        number: the most entries; 0: all.
        reverse: the last entries, the last one first.
    """
    if number == 0 and reverse:
        raise Refused("number must be > 0 when reverse is true")
    if number > 100_000:
        raise Refused("cannot return more than 100000 files at a time")
    if marker is not None:
        mark = paths.clean(marker)
        entries = (
            one
            for one in entries
            if (one.path.rstrip("/") < mark if reverse else one.path.rstrip("/") > mark)
        )
    if reverse:
        return reversed(deque(entries, number))
    return islice(entries, number or None)
