"""pfs_v2.API: file sets, streams of changes that are added to a commit later, all at once."""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm_sdk.api import pfs

from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.services.pfs_api import modify_file, pick
from kfp_pachyderm.embedded.services.pfs_api.files import FileService
from kfp_pachyderm.embedded.status import Refused, not_found
from kfp_pachyderm.embedded.store.files.changes import Changes
from kfp_pachyderm.embedded.store.files.file_sets import LONGEST_TTL, TTL
from kfp_pachyderm.embedded.store.store import Store


def file_set_calls(store: Store, files: FileService) -> handlers.Calls:
    """The calls by their names on the wire. Any signed-in caller may make them, as in Pachyderm.

    Args:
        store: the store.
        files: reads a stream of changes.
    """

    def create(requests: Iterator[modify_file.Change], _: Context) -> pfs.CreateFileSetResponse:
        changes = store.changes(None)
        files.collect(changes, requests)
        changes.settle()
        return made((changes,))

    def add(request: pfs.AddFileSetRequest, _: Context) -> handlers.Empty:
        commit = pick.commit(store.read(), request.commit)
        if commit.finishing is not None:
            raise Refused(f"commit {commit} has already finished")
        changes = store.file_sets.find(request.file_set_id)
        if changes is None:
            raise Refused("add file set: path does not exist")
        store.modify(commit, *changes)
        return handlers.Empty()

    def compose(request: pfs.ComposeFileSetRequest, _: Context) -> pfs.CreateFileSetResponse:
        # The request's `compact` has no visible effect: files are cut anew when a commit takes the file set.
        parts = [store.file_sets.find(name) for name in request.file_set_ids]
        if None in parts:
            raise Refused("the operation would create a dangling reference")
        return made(tuple(changes for part in parts for changes in part or ()), request.ttl_seconds or TTL)

    def renew(request: pfs.RenewFileSetRequest, _: Context) -> handlers.Empty:
        if not 1 <= request.ttl_seconds <= LONGEST_TTL:
            raise Refused(f"ttl ({request.ttl_seconds}) must be between 1 second and {LONGEST_TTL:.0f}")
        if not store.file_sets.renew(request.file_set_id, request.ttl_seconds):
            raise not_found(f"tracker does not contain item: (fileset/{request.file_set_id})")
        return handlers.Empty()

    def made(changes: tuple[Changes, ...], ttl: float = TTL) -> pfs.CreateFileSetResponse:
        return pfs.CreateFileSetResponse(file_set_id=store.file_sets.keep(changes, ttl))

    return {
        "CreateFileSet": handlers.Call(create, modify_file.parse, "upload"),
        "AddFileSet": handlers.unary(add, pfs.AddFileSetRequest),
        "ComposeFileSet": handlers.unary(compose, pfs.ComposeFileSetRequest),
        "RenewFileSet": handlers.unary(renew, pfs.RenewFileSetRequest),
    }
