"""pps_v2.API: settings for many pipelines: defaults of the cluster and of projects, secrets.

Source: Pachyderm src/server/pps/server/api_server.go (SetClusterDefaults, SetProjectDefaults, CreateSecret).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

import betterproto.lib.google.protobuf as google
from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded.auth import guard, owners
from kfp_pachyderm.embedded.pps import pipelines, spec
from kfp_pachyderm.embedded.pps.pipelines import Pipeline, PipelineKey
from kfp_pachyderm.embedded.services import handlers, messages
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.status import Refused, invalid
from kfp_pachyderm.embedded.store import repos
from kfp_pachyderm.embedded.store.sqlite.database import Txn
from kfp_pachyderm.embedded.store.store import Store

_BUILT_IN = json.dumps({"createPipelineRequest": spec.DEFAULTS})
_CLUSTER = "cluster_defaults"


def _read(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def _write(txn: Txn, key: str, value: str) -> None:
    txn.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _project_key(name: str) -> str:
    return f"project_defaults:{name}"


def defaults(db: sqlite3.Connection, project: str) -> list[str]:
    """Defaults of a project's pipelines, as JSON: the cluster's, then the project's, which override them."""
    found = (_read(db, _CLUSTER), _read(db, _project_key(project)))
    return [text for text in found if text is not None]


def of_project(db: sqlite3.Connection, name: str) -> str:
    """A project's own defaults as JSON."""
    return _read(db, _project_key(name)) or "{}"


def forget_project(txn: Txn, name: str) -> None:
    """Removes a project's defaults."""
    txn.db.execute("DELETE FROM meta WHERE key = ?", (_project_key(name),))


class SettingService:
    """Defaults and secrets of pps_v2.API.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def calls(self) -> handlers.Calls:
        """The calls by their names on the wire."""
        unary = handlers.unary
        return {
            "GetClusterDefaults": unary(self._cluster_defaults, pps.GetClusterDefaultsRequest),
            "SetClusterDefaults": unary(self._set_cluster_defaults, pps.SetClusterDefaultsRequest),
            "GetProjectDefaults": unary(self._project_defaults, pps.GetProjectDefaultsRequest),
            "SetProjectDefaults": unary(self._set_project_defaults, pps.SetProjectDefaultsRequest),
            "CreateSecret": unary(self._create_secret, pps.CreateSecretRequest),
            "InspectSecret": unary(self._inspect_secret, pps.InspectSecretRequest),
            "ListSecret": unary(self._list_secret, google.Empty),
            "DeleteSecret": unary(self._delete_secret, pps.DeleteSecretRequest),
        }

    def _cluster_defaults(self, _: Any, __: Context) -> pps.GetClusterDefaultsResponse:
        text = _read(self._store.read(), _CLUSTER) or _BUILT_IN
        return pps.GetClusterDefaultsResponse(cluster_defaults_json=text)

    def _project_defaults(
        self, request: pps.GetProjectDefaultsRequest, _: Context
    ) -> pps.GetProjectDefaultsResponse:
        name = repos.get_project(self._store.read(), request.project.name or "default").name
        return pps.GetProjectDefaultsResponse(project_defaults_json=of_project(self._store.read(), name))

    def _set_cluster_defaults(
        self, request: pps.SetClusterDefaultsRequest, _: Context
    ) -> pps.SetClusterDefaultsResponse:
        text = request.cluster_defaults_json
        _check(text, "cluster")
        changed = self._set(request, _CLUSTER, text, lambda _: True)
        return pps.SetClusterDefaultsResponse(affected_pipelines=changed)

    def _set_project_defaults(
        self, request: pps.SetProjectDefaultsRequest, _: Context
    ) -> pps.SetProjectDefaultsResponse:
        name = repos.get_project(self._store.read(), request.project.name or "default").name
        guard.check_project(self._store.read(), name, "PROJECT_SET_DEFAULTS")
        text = request.project_defaults_json
        _check(text, "project")
        changed = self._set(request, _project_key(name), text, lambda key: key.project == name)
        return pps.SetProjectDefaultsResponse(affected_pipelines=changed)

    def _set(
        self,
        request: pps.SetClusterDefaultsRequest | pps.SetProjectDefaultsRequest,
        key: str,
        text: str,
        concerns: Callable[[PipelineKey], bool],
    ) -> list[pps.Pipeline]:
        """Sets defaults; with `regenerate` updates the pipelines that they change, and returns these."""
        with self._store.database.write(dry_run=request.dry_run) as txn:
            _write(txn, key, text)
            found = [one for one in pipelines.keys(txn.db) if request.regenerate and concerns(one)]
            changed = [one for one in found if _regenerate(txn, one, request.reprocess)]
        return [pps.Pipeline(project=pfs.Project(name=one.project), name=one.name) for one in changed]

    def _create_secret(self, request: pps.CreateSecretRequest, _: Context) -> handlers.Empty:
        try:
            given = json.loads(request.file)
            name = given["metadata"]["name"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"failed to unmarshal secret: {error!r}") from error
        with self._store.database.write() as txn:
            if _read(txn.db, f"secret:{name}") is not None:
                raise Refused(f'failed to create secret: secrets "{name}" already exists')
            # The secret's content is not kept: user code runs with this machine's own environment.
            kept = {"type": given.get("type") or "Opaque", "created": txn.now}
            _write(txn, f"secret:{name}", json.dumps(kept))
        return handlers.Empty()

    def _inspect_secret(self, request: pps.InspectSecretRequest, _: Context) -> pps.SecretInfo:
        found = _read(self._store.read(), f"secret:{request.secret.name}")
        if found is None:
            raise Refused(f'failed to get secret: secrets "{request.secret.name}" not found')
        return _secret(request.secret.name, found)

    def _list_secret(self, _: Any, __: Context) -> pps.SecretInfos:
        query = "SELECT key, value FROM meta WHERE key GLOB 'secret:*' ORDER BY key"
        rows = self._store.read().execute(query)
        return pps.SecretInfos(secret_info=[_secret(key.partition(":")[2], found) for key, found in rows])

    def _delete_secret(self, request: pps.DeleteSecretRequest, _: Context) -> handlers.Empty:
        name = request.secret.name
        with self._store.database.write() as txn:
            if not txn.db.execute("DELETE FROM meta WHERE key = ?", (f"secret:{name}",)).rowcount:
                raise Refused(f'failed to delete secret: secrets "{name}" not found')
        return handlers.Empty()


def _check(text: str, whose: str) -> None:
    try:
        spec.check_defaults(text)
    except ValueError as error:
        raise invalid(f"invalid {whose} defaults JSON: {error}") from error


def _secret(name: str, found: str) -> pps.SecretInfo:
    kept = json.loads(found)
    created = messages.timestamp(kept["created"])
    info = pps.SecretInfo(secret=pps.Secret(name=name), type=kept["type"])
    if created is not None:
        info.creation_timestamp = created
    return info


def _regenerate(txn: Txn, key: PipelineKey, reprocess: bool) -> bool:
    old: Pipeline = pipelines.get(txn.db, key)
    user = old.info.user_spec_json
    if not user:
        return False
    request, effective = spec.from_json(user, *defaults(txn.db, key.project))
    if effective == old.info.effective_spec_json:
        return False
    request.update, request.reprocess = True, reprocess
    request.pipeline.project = pfs.Project(name=key.project)
    pipelines.create(txn, request, user, effective)
    owners.made(txn, key, old)
    return True
