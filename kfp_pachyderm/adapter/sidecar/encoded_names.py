"""A connection that shows commits with encoded file names by their original keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.segments import Segment
from kfp_pachyderm.adapter.encoding import decode, encode
from kfp_pachyderm.adapter.sidecar.remote import Remote
from kfp_pachyderm.protocol.pfs_messages import CommitName, Found


class Renamed:
    """Wraps a connection: encodes keys in requests, and decodes file names in answers.

    Args:
        remote: the connection.
        commits: the commits whose file names are encoded. Calls for other commits are passed on unchanged.
    """

    def __init__(self, remote: Remote, commits: frozenset[CommitName]) -> None:
        self._remote, self._commits = remote, commits
        self.address, self.shows_output = remote.address, remote.shows_output

    @property
    def taken(self) -> int:
        """Bytes that the current `write` has sent so far, without objects that go in file sets."""
        return self._remote.taken

    def inspect(self, name: CommitName, path: str) -> Found | None:
        """Returns the file at the path, None if there is none."""
        found = self._remote.inspect(name, self._path(name, path))
        return found and self._found(name, found)

    def walk(self, name: CommitName, timeout: float | None = None) -> Iterator[Found]:
        """Yields every file of the commit."""
        for found in self._remote.walk(name, timeout):
            yield self._found(name, found)

    def read(self, name: CommitName, path: str, start: int, length: int) -> Iterator[bytes]:
        """Yields `length` bytes of a file from `start`."""
        return self._remote.read(name, self._path(name, path), start, length)

    def stage(self, name: CommitName, key: str, segment: Segment, first: bool) -> str:
        """Sends a segment of an object before the object is written; returns the file set's ID."""
        return self._remote.stage(name, self._path(name, "/" + key)[1:], segment, first)

    def renew(self, id_: str) -> bool:
        """Renews a file set that `stage` made; returns False if Pachyderm has forgotten it."""
        return self._remote.renew(id_)

    def write(self, name: CommitName, files: list[Stored], gone: list[str], timeout: float) -> None:
        """Puts the files into the open commit, and removes the keys in `gone`."""
        if name in self._commits:
            files, gone = [file.encoded for file in files], [encode(key) for key in gone]
        self._remote.write(name, files, gone, timeout)

    def differing(self, name: CommitName, files: list[Stored], timeout: float) -> list[Stored]:
        """Returns the files that the commit does not hold as they were written."""
        if name not in self._commits:
            return self._remote.differing(name, files, timeout)
        by_name = {file.encoded.key: file for file in files}
        wrong = self._remote.differing(name, [file.encoded for file in files], timeout)
        return [by_name[file.key] for file in wrong]

    def _path(self, name: CommitName, path: str) -> str:
        return "/" + encode(path[1:]) if name in self._commits else path

    def _found(self, name: CommitName, found: Found) -> Found:
        return replace(found, path="/" + decode(found.path[1:])) if name in self._commits else found
