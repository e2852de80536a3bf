"""Makes, changes, stops, starts and deletes pipelines.

Source: Pachyderm src/server/pps/server/api_server.go (CreatePipelineInTransaction and around).
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded.fields import has
from kfp_pachyderm.embedded.pps import inputs, jobs, spec, stored_info
from kfp_pachyderm.embedded.services import messages
from kfp_pachyderm.embedded.status import Refused, exists, not_found
from kfp_pachyderm.embedded.store import branches, commits, deletion, repos
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Txn, new_id


class PipelineKey(NamedTuple):
    """A pipeline's full name."""

    project: str
    name: str

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"

    def repo(self, type_: str = "user") -> RepoKey:
        """One of its repos: user (output), meta or spec."""
        return RepoKey(self.project, self.name, type_)


@dataclass(frozen=True)
class Pipeline:
    """A row of `pipelines`: one version."""

    key: PipelineKey
    version: int
    stopped: bool
    spec_commit: int
    encoded: bytes
    metadata: dict[str, str]

    @cached_property
    def info(self) -> pps.PipelineInfo:
        """The stored message. It is this row's own, and may be changed."""
        return pps.PipelineInfo().parse(self.encoded)

    @property
    def shared_info(self) -> pps.PipelineInfo:
        """The stored message, for reading only."""
        return stored_info.shared(self.encoded)

    @property
    def input(self) -> pps.Input | None:
        """Its input, if it has one."""
        details = self.info.details
        return details.input if has(details, "input") else None


def key_of(pipeline: pps.Pipeline) -> PipelineKey:
    """The key of a client's Pipeline message; no project means `default`."""
    if not pipeline.name:
        raise Refused("pipeline must be specified")
    return PipelineKey(pipeline.project.name or "default", pipeline.name)


_PIPELINE = "SELECT project, name, version, stopped, spec_commit, info, metadata FROM pipelines"


def _pipeline(row: Any) -> Pipeline:
    return Pipeline(PipelineKey(row[0], row[1]), row[2], bool(row[3]), row[4], row[5], json.loads(row[6]))


def versions(db: sqlite3.Connection, key: PipelineKey) -> list[Pipeline]:
    """All versions of a pipeline, newest first."""
    rows = db.execute(f"{_PIPELINE} WHERE (project, name) = (?, ?) ORDER BY version DESC", key)
    return [_pipeline(row) for row in rows]


def find(db: sqlite3.Connection, key: PipelineKey, version: int | None = None) -> Pipeline | None:
    """The pipeline's current version (or a given one), if it exists."""
    where = "WHERE (project, name) = (?, ?) AND (? IS NULL OR version = ?) ORDER BY version DESC LIMIT 1"
    row = db.execute(f"{_PIPELINE} {where}", (*key, version, version)).fetchone()
    return _pipeline(row) if row else None


def get(db: sqlite3.Connection, key: PipelineKey, version: int | None = None) -> Pipeline:
    """The pipeline's current version (or a given one)."""
    found = find(db, key, version)
    if found is None:
        raise not_found(f'pipeline "{key}" not found')
    return found


def keys(db: sqlite3.Connection) -> list[PipelineKey]:
    """All pipelines, newest first."""
    rows = db.execute(
        "SELECT project, name, max(created) AS made FROM pipelines GROUP BY 1, 2 ORDER BY made DESC"
    )
    return [PipelineKey(row[0], row[1]) for row in rows]


def create(
    txn: Txn, request: pps.CreatePipelineRequest, user_json: str = "", effective_json: str = ""
) -> None:
    """Makes a pipeline, or its next version, with its repos, spec commit and output branch."""
    if not request.pipeline.project.name:
        request.pipeline.project = pfs.Project(name="default")
    spec.validate_request(request)
    key = key_of(request.pipeline)
    old = find(txn.db, key)
    if old is not None and not request.update:
        raise exists(f'pipeline "{key}" already exists')
    info = _new_info(txn, request, old)
    info.user_spec_json, info.effective_spec_json = user_json, effective_json
    spec.validate(info)
    for one in inputs.pfs_inputs(info.details.input):
        repos.get_repo(txn.db, RepoKey(one.project, one.repo, one.repo_type))
    if old is None:
        _create_repos(txn, key)
    spec_commit = branches.start_commit(
        txn, repos.get_repo(txn.db, key.repo("spec")), "master", internal=True
    )
    commits.finish(txn, spec_commit)
    info.spec_commit = messages.commit(spec_commit)
    _insert(txn, key, info, spec_commit.id, old)
    if old is not None:
        jobs.stop_all(txn, *key, "all jobs killed because pipeline was updated")
    _set_provenance(txn, key, info, connected=not info.stopped)
    _set_triggers(txn, info)


def _new_info(txn: Txn, request: pps.CreatePipelineRequest, old: Pipeline | None) -> pps.PipelineInfo:
    details = spec.details(request)
    if not details.salt or request.reprocess:
        details.salt = new_id()
    when = messages.timestamp(txn.now)
    details.created_at, details.updated_at = when, when
    info = pps.PipelineInfo(
        pipeline=request.pipeline,
        version=1,
        details=details,
        parallelism=details.parallelism_spec.constant or 1,
        type=pps.PipelineInfoPipelineType.PIPELINE_TYPE_TRANSFORM,
    )
    if old is not None:
        info.version = old.version + 1
        info.stopped = old.stopped
        details.created_at = old.info.details.created_at
        if not request.reprocess:
            details.salt = old.info.details.salt
    return info


def _create_repos(txn: Txn, key: PipelineKey) -> None:
    if repos.find_repo(txn.db, key.repo()) is not None:
        raise Refused(
            f'pipeline "{key.name}" cannot be created because a repo with the same name already exists'
        )
    repos.create_repo(txn, key.repo(), f"Output repo for pipeline {key}.")
    repos.create_repo(txn, key.repo("spec"), f"Spec repo for pipeline {key}.", update=True)
    repos.create_repo(txn, key.repo("meta"), f"Meta repo for pipeline {key.name}", update=True)


def _insert(
    txn: Txn, key: PipelineKey, info: pps.PipelineInfo, spec_commit: int, old: Pipeline | None
) -> None:
    metadata = json.dumps(old.metadata) if old else "{}"
    query = """INSERT INTO pipelines (project, name, version, stopped, spec_commit, created, info, metadata)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
    values = (*key, info.version, info.stopped, spec_commit, txn.now, bytes(info), metadata)
    txn.db.execute(query, values)


def _set_provenance(txn: Txn, key: PipelineKey, info: pps.PipelineInfo, connected: bool) -> None:
    given = info.details.input if has(info.details, "input") else None
    sources = [*inputs.provenance(given), (key.repo("spec"), "master")] if connected else []
    quiet = inputs.never_propagating(given) if connected else set()
    for type_ in ("user", "meta"):
        branches.create(txn, (key.repo(type_), info.details.output_branch), provenance=sources, never=quiet)


def _set_triggers(txn: Txn, info: pps.PipelineInfo) -> None:
    for one in inputs.pfs_inputs(info.details.input):
        if one.trigger:
            branch = (RepoKey(one.project, one.repo, one.repo_type), one.branch)
            head = branches.get(txn.db, branch).head
            commit = commits.by_id(txn.db, head) if head is not None else None
            branches.create(txn, branch, commit, trigger=messages.trigger_json(one.trigger))


def stop(txn: Txn, key: PipelineKey, must_exist: bool = False) -> None:
    """Disconnects a pipeline from its inputs and kills its unfinished jobs."""
    pipeline = find(txn.db, key)
    if pipeline is None:
        if must_exist:
            raise not_found(f'pipeline "{key}" not found')
        return
    _set_provenance(txn, key, pipeline.info, connected=False)
    _set_stopped(txn, pipeline, True)
    jobs.stop_all(txn, *key, "all jobs killed because pipeline was stopped")


def start(txn: Txn, key: PipelineKey) -> None:
    """Connects a stopped pipeline to its inputs again."""
    pipeline = get(txn.db, key)
    _set_provenance(txn, key, pipeline.info, connected=True)
    _set_stopped(txn, pipeline, False)


def _set_stopped(txn: Txn, pipeline: Pipeline, stopped: bool) -> None:
    query = "UPDATE pipelines SET stopped = ? WHERE (project, name, version) = (?, ?, ?)"
    txn.db.execute(query, (stopped, *pipeline.key, pipeline.version))


def delete(txn: Txn, key: PipelineKey, force: bool = False, keep_repo: bool = False) -> None:
    """Removes a pipeline with its jobs and (unless kept) its output."""
    pipeline = find(txn.db, key)
    if pipeline is None:
        return
    stop(txn, key)
    for job in jobs.select(txn.db, "WHERE (project, pipeline) = (?, ?)", key):
        jobs.delete(txn, job)
    txn.db.execute("DELETE FROM pipelines WHERE (project, name) = (?, ?)", key)
    types = ("spec", "meta") if keep_repo else ("user", "spec", "meta")
    found = [repos.find_repo(txn.db, key.repo(type_)) for type_ in types]
    deletion.delete_repos(txn, [one for one in found if one is not None], force)
