"""Compares the files of a commit with those of its record."""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.pachd.commits.file_entry import FileEntry
from kfp_pachyderm.provenance.file_list import FileList, file_list


def file_faults(recorded: FileList, found: list[FileEntry]) -> Iterator[str]:
    """A text for each difference; it names the file where the record lists the files."""
    now = file_list(found)
    if (now.digest, now.count, now.size) == (recorded.digest, recorded.count, recorded.size):
        return
    if recorded.listed is None:
        yield (
            f"its files differ: {now.count:,} with {now.size:,} bytes, its record says {recorded.count:,} "
            f"with {recorded.size:,} bytes; they were too many to be listed in it: it does not say which"
        )
        return
    listed = file_list(recorded.listed)
    if listed.digest != recorded.digest:
        yield "the list of files in its record does not match the record's own digest of the files"
    yield from _differences({one.path: one for one in recorded.listed}, {one.path: one for one in found})


def _differences(recorded: dict[str, FileEntry], found: dict[str, FileEntry]) -> Iterator[str]:
    for path in sorted(recorded.keys() | found.keys()):
        before, now = recorded.get(path), found.get(path)
        if now is None:
            yield f"file {path} is missing"
        elif before is None:
            yield f"file {path} was added: its record does not have it"
        elif before != now:
            yield (
                f"file {path} changed: {now.size:,} bytes with hash {now.hash}, its record says "
                f"{before.size:,} bytes with hash {before.hash}"
            )
