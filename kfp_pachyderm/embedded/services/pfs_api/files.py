"""pfs_v2.API: calls that write files in streams, read them at offsets, list and compare them."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator

from pachyderm_sdk.api import pfs

from kfp_pachyderm.embedded.auth import guard
from kfp_pachyderm.embedded.fields import given
from kfp_pachyderm.embedded.services import handlers, messages
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.services.pfs_api import modify_file, pick
from kfp_pachyderm.embedded.services.pfs_api.modify_file import Add, Copy, Delete, SetCommit
from kfp_pachyderm.embedded.services.pfs_api.url import fetch
from kfp_pachyderm.embedded.status import Refused, not_found
from kfp_pachyderm.embedded.store import repos
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.files import layers, listing, paths
from kfp_pachyderm.embedded.store.files.changes import Changes
from kfp_pachyderm.embedded.store.files.layers import File
from kfp_pachyderm.embedded.store.files.listing import Entry
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.protocol.protobuf import field

_SUGGESTION = "Use GetFileTAR instead"


class FileService:
    """The file calls of pfs_v2.API; pachd and every sidecar serve them.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def calls(self) -> handlers.Calls:
        """The calls by their names on the wire."""

        def hand_written(function: object, request: type) -> handlers.Call:
            return handlers.Call(function, handlers.message(request), "stream", handlers.already_bytes)  # type: ignore[arg-type]

        return {
            "ModifyFile": handlers.Call(self._modify_file, modify_file.parse, "upload"),
            "GetFile": hand_written(self._get_file, pfs.GetFileRequest),
            "GetFileTAR": hand_written(self._get_file_tar, pfs.GetFileRequest),
            "InspectFile": handlers.Call(
                self._inspect_file, handlers.message(pfs.InspectFileRequest), write=handlers.already_bytes
            ),
            "ListFile": hand_written(self._list_file, pfs.ListFileRequest),
            "WalkFile": hand_written(self._walk_file, pfs.WalkFileRequest),
            "GlobFile": hand_written(self._glob_file, pfs.GlobFileRequest),
            "DiffFile": handlers.stream(self._diff_file, pfs.DiffFileRequest),
        }

    def _modify_file(self, requests: Iterator[modify_file.Change], _: Context) -> handlers.Empty:
        first = next(requests, None)
        if not isinstance(first, SetCommit):
            raise Refused("first message must be a set commit")
        handle = pfs.Commit().parse(first.commit)
        commit, branch = self._target(handle)
        if branch:
            # Any signed-in caller may write to an open commit. A new commit needs the permission to start it.
            guard.check_repo(self._store.read(), pick.repo_of(handle), "REPO_WRITE")
        changes = self._store.changes(commit)
        self.collect(changes, requests)
        if branch:
            self._store.modify_branch(pick.repo_of(handle), branch, changes)
        elif commit is not None:
            self._store.modify(commit, changes)
        return handlers.Empty()

    def _target(self, handle: pfs.Commit) -> tuple[Commit | None, str]:
        """The open commit to change; or the head, if there is one, and the branch to make a commit on."""
        branch = handle.branch.name
        if not branch and handle.id and not pick.ID.fullmatch(handle.id):
            branch = handle.id
        try:
            commit = pick.commit(self._store.read(), handle)
        except Refused as error:
            if (
                error.code != "NOT_FOUND"
                or not branch
                or repos.find_repo(self._store.read(), pick.repo_of(handle)) is None
            ):
                raise
            return None, branch
        if commit.finishing is None:
            return commit, ""
        if handle.id and handle.id != branch:
            raise Refused(f"commit {commit} has already finished")
        return commit, branch

    def collect(self, changes: Changes, requests: Iterator[modify_file.Change]) -> None:
        """Adds a stream's requests to `changes`; none of them may set the commit."""
        for change in requests:
            self._collect(changes, change)

    def _collect(self, changes: Changes, change: modify_file.Change) -> None:
        if isinstance(change, Add):
            for piece in fetch(change.url) if change.url else (change.data,):
                changes.add(change.path, piece)
        elif isinstance(change, Delete):
            changes.delete(change.path)
        elif isinstance(change, Copy):
            self._copy(changes, pfs.CopyFile().parse(change.request))
        else:
            set_commit = isinstance(change, SetCommit)
            raise Refused("cannot set commit" if set_commit else "unrecognized message type")

    def _copy(self, changes: Changes, request: pfs.CopyFile) -> None:
        _, shown = self._open(request.src.commit)
        source = paths.clean(request.src.path)
        file = layers.inspect(self._store.read(), shown, source)
        top = source if source == "/" else source + "/"
        files = [file] if file else list(layers.walk(self._store.read(), shown, top))
        changes.copy(files, "" if source == "/" else source, request.dst or source, request.append)

    def _open(self, handle: pfs.Commit, *permissions: str) -> tuple[Commit, listing.Layers]:
        needed = permissions or ("REPO_READ",)
        guard.check_repo(self._store.read(), pick.repo_of(handle), *needed)
        commit = pick.commit(self._store.read(), handle)
        return commit, self._store.layers(commit)

    def _missing(self, commit: Commit, path: str) -> Refused:
        return not_found(f"file {path} not found in repo {commit.repo} at commit {commit.set_id}")

    def _get_file(self, request: pfs.GetFileRequest, _: Context) -> Iterator[bytes]:
        if request.url:
            raise Refused("get file to a URL is not implemented by the embedded Pachyderm", "UNIMPLEMENTED")
        commit, shown = self._open(request.file.commit)
        file = self._single(commit, shown, request.file.path)
        if request.offset < 0 or request.offset > file.size:
            raise Refused(
                f"offset ({request.offset}) is past the end of the file ({file.size} bytes)", "OUT_OF_RANGE"
            )
        for piece in self._store.content(commit, file, request.offset):
            yield field(1, piece)

    def _single(self, commit: Commit, shown: listing.Layers, path: str) -> File:
        db, pattern = self._store.read(), paths.clean(path)
        file = layers.inspect(db, shown, pattern)
        if file is not None:
            return file
        found = list(listing.page(listing.glob(db, shown, pattern), number=2))
        if not found:
            raise self._missing(commit, path)
        if found[0].is_folder:
            raise Refused(f"cannot get directory or non-regular file. {_SUGGESTION}")
        if len(found) > 1:
            raise Refused(f"matched multiple files. {_SUGGESTION}")
        file = layers.inspect(db, shown, found[0].path)
        if file is None:
            raise self._missing(commit, path)
        return file

    def _get_file_tar(self, request: pfs.GetFileRequest, _: Context) -> Iterator[bytes]:
        commit, shown = self._open(request.file.commit)
        db = self._store.read()
        found = list(listing.glob(db, shown, request.file.path))
        if not found:
            raise self._missing(commit, request.file.path)
        for match in found:
            inside = listing.walk(db, shown, match.path) if match.is_folder else iter([match])
            for entry in inside:
                yield from self._tar_entry(commit, shown, entry)
        yield field(1, bytes(2 * tarfile.BLOCKSIZE))

    def _tar_entry(self, commit: Commit, shown: listing.Layers, entry: Entry) -> Iterator[bytes]:
        info = tarfile.TarInfo(entry.path)
        info.mtime = (commit.finishing or commit.updated) // 1_000_000
        if entry.is_folder:
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            yield field(1, info.tobuf())
            return
        info.size = entry.size
        yield field(1, info.tobuf(tarfile.PAX_FORMAT))
        file = layers.inspect(self._store.read(), shown, entry.path)
        if file is None:
            raise self._missing(commit, entry.path)
        for piece in self._store.content(commit, file):
            yield field(1, piece)
        if entry.size % tarfile.BLOCKSIZE:
            yield field(1, bytes(-entry.size % tarfile.BLOCKSIZE))

    def _inspect_file(self, request: pfs.InspectFileRequest, _: Context) -> bytes:
        commit, shown = self._open(request.file.commit, "REPO_INSPECT_FILE")
        entry = listing.inspect(self._store.read(), shown, request.file.path)
        if entry is None:
            raise self._missing(commit, request.file.path)
        return messages.FileInfos(commit).encode(entry.path, entry.size, entry.hash)

    def _list_file(self, request: pfs.ListFileRequest, _: Context) -> Iterator[bytes]:
        commit, shown = self._open(request.file.commit, "REPO_LIST_FILE")
        yield from self._page(commit, listing.children(self._store.read(), shown, request.file.path), request)

    def _walk_file(self, request: pfs.WalkFileRequest, _: Context) -> Iterator[bytes]:
        commit, shown = self._open(request.file.commit, "REPO_READ", "REPO_LIST_FILE")
        db, path = self._store.read(), request.file.path
        entries = listing.walk(db, shown, path)
        first = next(entries, None)
        if first is None:
            if paths.clean(path) != "/":
                raise self._missing(commit, path)
            return
        yield from self._page(commit, _chained(first, entries), request)

    def _page(
        self, commit: Commit, entries: Iterator[Entry], request: pfs.ListFileRequest | pfs.WalkFileRequest
    ) -> Iterator[bytes]:
        marker = given(request, "pagination_marker")
        path = marker.path if marker is not None and marker.path else None
        return _encoded(commit, listing.page(entries, path, request.number, request.reverse))

    def _glob_file(self, request: pfs.GlobFileRequest, _: Context) -> Iterator[bytes]:
        commit, shown = self._open(request.commit, "REPO_READ", "REPO_LIST_FILE")
        lower, upper = request.path_range.lower, request.path_range.upper
        found = listing.glob(self._store.read(), shown, request.pattern)
        inside = (one for one in found if one.path >= lower and (not upper or one.path < upper))
        yield from _encoded(commit, inside)

    def _diff_file(self, request: pfs.DiffFileRequest, _: Context) -> Iterator[pfs.DiffFileResponse]:
        new, new_entries = self._entries(request.new_file.commit, request.new_file.path)
        handle, path = self._old(request, new)
        old, old_entries = self._entries(handle, path) if handle is not None else (new, {})
        for name in sorted({*new_entries, *old_entries}):
            after, before = new_entries.get(name), old_entries.get(name)
            if after is not None and before is not None and after.hash == before.hash:
                continue
            if request.shallow and name.count("/") > 1 + paths.clean(request.new_file.path).rstrip("/").count(
                "/"
            ):
                continue
            response = pfs.DiffFileResponse()
            if after is not None:
                response.new_file = _info(new, after)
            if before is not None:
                response.old_file = _info(old, before)
            yield response

    def _old(self, request: pfs.DiffFileRequest, new: Commit) -> tuple[pfs.Commit | None, str]:
        old = given(request, "old_file")
        if old is not None and (old.commit.id or old.commit.branch.name):
            return old.commit, old.path
        if new.parent is None:
            return None, ""
        return pfs.Commit(repo=messages.repo(new.repo), id=new.set_id + "^"), request.new_file.path

    def _entries(self, handle: pfs.Commit, path: str) -> tuple[Commit, dict[str, Entry]]:
        commit, shown = self._open(handle)
        return commit, {entry.path: entry for entry in listing.walk(self._store.read(), shown, path)}


def _info(commit: Commit, entry: Entry) -> pfs.FileInfo:
    return pfs.FileInfo().parse(messages.FileInfos(commit).encode(entry.path, entry.size, entry.hash))


def _chained(first: Entry, rest: Iterator[Entry]) -> Iterator[Entry]:
    yield first
    yield from rest


def _encoded(commit: Commit, entries: Iterable[Entry]) -> Iterator[bytes]:
    infos = messages.FileInfos(commit)
    for entry in entries:
        yield infos.encode(entry.path, entry.size, entry.hash)
