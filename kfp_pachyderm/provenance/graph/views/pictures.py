"""The files and pictures that a page or a card shows of a commit."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.pachd.commits import files as content
from kfp_pachyderm.pachd.commits.file_entry import FileEntry
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.walk import Asker

#: The picture formats that browsers show. SVG is safe here: browsers run no scripts in an image.
_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
#: The most files and pictures of one commit; the most bytes of one picture, and of all pictures of a page.
_FILES, _PICTURES, _LARGEST, _TOGETHER = 50, 4, 2**20, 16 * 2**20


@dataclass(frozen=True)
class Contents:
    """The files and pictures of one commit that are shown.

    Args:
        files: the first files.
        more: a sentence on files that are not shown; "": all are.
        pictures: path and data URI of each picture.
    """

    files: tuple[FileEntry, ...] = ()
    more: str = ""
    pictures: tuple[tuple[str, str], ...] = ()


def contents(pachd: Pachd, commits: list[Reference]) -> dict[Reference, Contents]:
    """The contents of finished commits; pictures of the first ones, until the page's limit is reached."""
    asker = Asker()
    listed = asker.ask(lambda commit: _files(pachd, commit), commits)
    every = dict(zip(commits, listed, strict=True))
    wanted, room = dict[Reference, list[FileEntry]](), _TOGETHER
    for commit, files in every.items():
        for file in [] if isinstance(files, PachydermError) else _pictures(files):
            if file.size <= min(room, _LARGEST):
                room -= file.size
                wanted.setdefault(commit, []).append(file)
    got = asker.ask(lambda commit: [_shown(pachd, commit, one) for one in wanted[commit]], list(wanted))
    seen = {
        commit: tuple(one)
        for commit, one in zip(wanted, got, strict=True)
        if not isinstance(one, PachydermError)
    }
    return {commit: _contents(files, seen.get(commit, ())) for commit, files in every.items()}


def _files(pachd: Pachd, commit: Reference) -> list[FileEntry]:
    return list(islice(content.walk(pachd, commit), _FILES + 1))


def _pictures(files: list[FileEntry]) -> list[FileEntry]:
    return [one for one in files if PurePosixPath(one.path).suffix.lower() in _TYPES][:_PICTURES]


def _shown(pachd: Pachd, commit: Reference, file: FileEntry) -> tuple[str, str]:
    data = base64.b64encode(b"".join(content.read(pachd, commit, file.path))).decode()
    return file.path, f"data:{_TYPES[PurePosixPath(file.path).suffix.lower()]};base64,{data}"


def _contents(files: list[FileEntry] | PachydermError, pictures: tuple[tuple[str, str], ...]) -> Contents:
    if isinstance(files, PachydermError):
        return Contents(more=f"the files could not be listed: {files}")
    more = "there are more: kfp-pachyderm files lists them" if len(files) > _FILES else ""
    return Contents(tuple(files[:_FILES]), more, pictures)
