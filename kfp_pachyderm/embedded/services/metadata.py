"""metadata.API: edits of users' key-value pairs.

Source: Pachyderm src/server/metadata/server (EditMetadata).
"""

from __future__ import annotations

from collections.abc import Callable

import betterproto
from pachyderm_sdk.api import metadata as api

from kfp_pachyderm.embedded.auth import guard
from kfp_pachyderm.embedded.pps import pipelines
from kfp_pachyderm.embedded.pps.pipelines import PipelineKey
from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.services.pfs_api import pick
from kfp_pachyderm.embedded.status import Refused, exists, invalid, not_found
from kfp_pachyderm.embedded.store import branches, metadata, repos
from kfp_pachyderm.embedded.store.metadata import Pairs
from kfp_pachyderm.embedded.store.sqlite.database import Txn
from kfp_pachyderm.embedded.store.store import Store


def _change(edit: api.Edit) -> Callable[[Pairs], Pairs]:
    kind, operation = betterproto.which_one_of(edit, "op")
    if kind == "replace":
        if "" in operation.replacement:
            raise invalid("metadata key may not be empty")
        _check_text(*operation.replacement, *operation.replacement.values())
        return lambda _: dict(operation.replacement)
    if not kind:
        raise invalid("edit has no operation")
    if not operation.key:
        raise invalid("metadata key may not be empty")
    _check_text(operation.key, getattr(operation, "value", ""))
    if kind == "edit_key":
        return lambda pairs: pairs | {operation.key: operation.value}
    return (
        (lambda pairs: _added(pairs, operation))
        if kind == "add_key"
        else (lambda pairs: _without(pairs, operation))
    )


def _check_text(*texts: str) -> None:
    """Postgres keeps metadata as JSONB, which takes no NUL; measured: EditMetadata answers ABORTED."""
    if any("\0" in one for one in texts):
        raise Refused("apply edits: ERROR: unsupported Unicode escape sequence (SQLSTATE 22P05)", "ABORTED")


def _added(pairs: Pairs, operation: api.EditAddKey) -> Pairs:
    if operation.key in pairs:
        raise exists(f'key "{operation.key}" already exists; use edit_key to change it')
    return pairs | {operation.key: operation.value}


def _without(pairs: Pairs, operation: api.EditDeleteKey) -> Pairs:
    if operation.key not in pairs:
        raise not_found(f'key "{operation.key}" not found')
    return {key: value for key, value in pairs.items() if key != operation.key}


def _apply(txn: Txn, edit: api.Edit) -> None:
    kind, target = betterproto.which_one_of(edit, "target")
    change = _change(edit)
    if kind == "cluster":
        guard.check_cluster(txn.db, "CLUSTER_EDIT_CLUSTER_METADATA")
        metadata.edit_cluster(txn, change)
    elif kind == "project":
        metadata.edit(txn, "projects", (repos.get_project(txn.db, target.name).name,), change)
    elif kind == "repo":
        repo = repos.get_repo(txn.db, pick.repo_by_picker(target))
        guard.check_repo(txn.db, repo.key, "REPO_WRITE")
        metadata.edit(txn, "repos", (repo.id,), change)
    elif kind == "branch":
        branch = branches.get(txn.db, pick.branch_by_picker(target))
        guard.check_repo(txn.db, branch.repo, "REPO_CREATE_BRANCH")
        metadata.edit(txn, "branches", (branch.id,), change)
    elif kind == "commit":
        metadata.edit(txn, "commits", (pick.by_picker(txn.db, target).id,), change)
    elif kind == "pipeline":
        key = PipelineKey(target.name.project.name or "default", target.name.name)
        found = pipelines.get(txn.db, key)
        guard.check_repo(txn.db, key.repo(), "REPO_WRITE")
        metadata.edit(txn, "pipelines", tuple(found.key), change)
    else:
        raise invalid("edit has no target")


def calls(store: Store) -> handlers.Calls:
    """metadata.API."""

    def edit_metadata(request: api.EditMetadataRequest, _: Context) -> api.EditMetadataResponse:
        with store.database.write() as txn:
            for edit in request.edits:
                _apply(txn, edit)
        return api.EditMetadataResponse()

    return {"EditMetadata": handlers.unary(edit_metadata, api.EditMetadataRequest)}
