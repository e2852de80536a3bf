"""metadata.API: edits of users' metadata, key-value pairs of text.

Source: Pachyderm src/server/metadata/metadata.go and src/server/metadata/server/api_server.go (EditMetadata).
Every edit of a request is tried, each on the result of those before it. If one fails, none is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import betterproto
from pachyderm_sdk.api import metadata as api

from kfp_pachyderm.embedded.auth import guard
from kfp_pachyderm.embedded.pps import pipelines
from kfp_pachyderm.embedded.pps.pipelines import PipelineKey
from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.services.pfs_api import pick
from kfp_pachyderm.embedded.status import Refused, invalid
from kfp_pachyderm.embedded.store import branches, metadata, repos
from kfp_pachyderm.embedded.store.metadata import Pairs
from kfp_pachyderm.embedded.store.sqlite.database import Txn
from kfp_pachyderm.embedded.store.store import Store
from kfp_pachyderm.protocol.protobuf import field, fields

#: A part of an error's text, and the status code that the error gets.
_CODES = (
    ("SQLSTATE", "ABORTED"),
    ("is not authorized", "PERMISSION_DENIED"),
    ("already exists", "FAILED_PRECONDITION"),
)


#: Field of an Edit → the operation's name and message (Pachyderm src/metadata/metadata.proto).
_OPERATIONS: dict[int, tuple[str, type[Any]]] = {
    10: ("replace", api.EditReplace),
    11: ("add_key", api.EditAddKey),
    12: ("edit_key", api.EditEditKey),
    13: ("delete_key", api.EditDeleteKey),
}


@dataclass(frozen=True)
class Edit:
    """One edit: names and messages of its target and its operation; name "": the edit has none."""

    target: tuple[str, Any]
    operation: tuple[str, Any]


def parse(request: bytes) -> list[Edit]:
    """Decodes an EditMetadataRequest.

    By hand, since a step sends dozens of edits of one commit, and betterproto decodes that commit's name each
    time, a millisecond long.
    """
    return [_parsed(one) for key, one in fields(request) if key == 1 and isinstance(one, bytes)]


def _parsed(edit: bytes) -> Edit:
    target: tuple[str, Any] = ("", None)
    operation: tuple[str, Any] = ("", None)
    for key, data in fields(edit):
        if not isinstance(data, bytes):
            continue  # a field of a newer client
        if key in _OPERATIONS:
            name, kind = _OPERATIONS[key]
            operation = name, kind().parse(data)
        elif (found := _target(key, data))[0]:
            target = found
    return Edit(target, operation)


@lru_cache(64)
def _target(key: int, data: bytes) -> tuple[str, Any]:
    found: tuple[str, Any] = betterproto.which_one_of(api.Edit().parse(field(key, data)), "target")
    return found


def _change(edit: Edit) -> Callable[[Pairs], Pairs]:
    kind, operation = edit.operation
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
    """Refuses NUL: Postgres keeps metadata as JSONB, which can't hold it (measured: it answers ABORTED)."""
    if any("\0" in one for one in texts):
        raise Refused("apply edits: ERROR: unsupported Unicode escape sequence (SQLSTATE 22P05)", "ABORTED")


def _added(pairs: Pairs, operation: api.EditAddKey) -> Pairs:
    if operation.key in pairs:
        raise Refused(f'add_key target key "{operation.key}" already exists; use edit_key instead')
    return pairs | {operation.key: operation.value}


def _without(pairs: Pairs, operation: api.EditDeleteKey) -> Pairs:
    return {key: value for key, value in pairs.items() if key != operation.key}


def _apply(txn: Txn, edit: Edit) -> None:
    kind, target = edit.target
    change = _change(edit)
    if kind == "cluster":
        guard.check_cluster(txn.db, "CLUSTER_EDIT_CLUSTER_METADATA")
        metadata.edit_cluster(txn, change)
        return
    table, row, name = _picked(txn, kind, target)
    try:
        metadata.edit(txn, table, row, change)
    except Refused as refused:
        raise Refused(f'edit {kind} "{name}": {refused.text}', refused.code) from None


def _picked(txn: Txn, kind: str, target: Any) -> tuple[str, tuple[object, ...], str]:
    """Returns table, row key and name of what an edit changes, after checking that the caller may edit it."""
    if kind == "project":
        project = repos.get_project(txn.db, target.name).name
        return "projects", (project,), project
    if kind == "repo":
        repo = repos.get_repo(txn.db, pick.repo_by_picker(target))
        guard.check_repo(txn.db, repo.key, "REPO_WRITE")
        return "repos", (repo.id,), str(repo.key)
    if kind == "branch":
        branch = branches.get(txn.db, pick.branch_by_picker(target))
        guard.check_repo(txn.db, branch.repo, "REPO_CREATE_BRANCH")
        return "branches", (branch.id,), f"{branch.repo}@{branch.name}"
    if kind == "commit":
        commit = pick.by_picker(txn.db, target)
        return "commits", (commit.id,), f"{commit.repo}@{commit.id}"
    if kind == "pipeline":
        key = PipelineKey(target.name.project.name or "default", target.name.name)
        found = pipelines.get(txn.db, key)
        guard.check_repo(txn.db, key.repo(), "REPO_WRITE")
        return "pipelines", tuple(found.key), str(key)
    raise invalid("edit has no target")


def _checked(edits: Sequence[Edit]) -> None:
    """Refuses what pachd's validation refuses before it tries any edit (metadata.proto, validate.rules)."""
    for edit in edits:
        _change(edit)


def _code(text: str) -> str:
    for part, code in _CODES:
        if part in text:
            return code
    return "UNKNOWN"


def calls(store: Store) -> handlers.Calls:
    """metadata.API."""

    def edit_metadata(edits: list[Edit], _: Context) -> api.EditMetadataResponse:
        _checked(edits)
        problems = []
        with store.database.write() as txn:
            for number, edit in enumerate(edits):
                try:
                    _apply(txn, edit)
                except Refused as refused:
                    problems.append(f"edit #{number}: {refused.text}")
            if problems:
                text = "\n".join(problems)
                raise Refused(f"apply edits: {text}", _code(text))
        return api.EditMetadataResponse()

    return {"EditMetadata": handlers.Call(edit_metadata, parse)}
