"""Histories of any size, written straight into an embedded Pachyderm's store, as if steps had left them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded.auth import guard, state
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Txn, new_id
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.kfp_task import KfpTask
from kfp_pachyderm.provenance.record import Code, StepRecord
from kfp_pachyderm.provenance.stored_record import entries


@dataclass
class History:
    """Writes repos, pipelines, commits and jobs.

    Args:
        server: the embedded Pachyderm.
        project: the project of all repos and pipelines.
    """

    server: EmbeddedServer
    project: str = "default"
    _repos: dict[str, int] = field(default_factory=dict)
    _specs: dict[str, int] = field(default_factory=dict)
    _commits: dict[Reference, int] = field(default_factory=dict)

    def __enter__(self) -> History:
        self._writing = self.server.store.database.write()
        self._txn: Txn = self._writing.__enter__()
        self._txn.db.execute(
            "INSERT OR IGNORE INTO projects (name, description, created) VALUES (?, '', 1)", (self.project,)
        )
        return self

    def __exit__(self, *error: Any) -> None:
        self._writing.__exit__(*error)

    def data(self, repo: str = "images") -> Reference:
        """A commit that somebody put."""
        return self._commit(repo, (), {})

    def step(
        self,
        task: str,
        inputs: Sequence[Reference],
        run: str = "run-1",
        *,
        pipeline: str = "training",
        state: pps.JobState = pps.JobState.JOB_SUCCESS,
        parameters: dict[str, Any] | None = None,
        recorded: bool = True,
        named: Sequence[Reference] = (),
        repo: str = "",
        reason: str = "",
    ) -> Reference:
        """A commit that a step made."""
        name = repo or task
        commit = Reference(self.project, name, new_id())
        said = KfpTask(
            pipeline,
            run,
            task,
            "salt",
            "attempt-1",
            f"{task}-component",
            "sha256:c0de",
            "python:3.11",
            "0.1.0",
        )
        read = {one.repo: one for one in named or inputs}
        record = StepRecord(
            said,
            self.project,
            commit,
            name,
            version=1,
            job=commit.version,
            state="SUCCESS",
            inputs=read,
            started="2026-01-01T00:00:00+00:00",
            finished="2026-01-01T00:00:02+00:00",
            duration=2.0,
            size=1234,
            code=Code(parameters=parameters or {}, kfp="2.14.0"),
        )
        metadata = {**said.commit_metadata(), **(entries(record) if recorded else {})}
        return self._made(name, commit, inputs, metadata, state, reason)

    def gathered(self, repo: str, inputs: Sequence[Reference]) -> Reference:
        """A commit that gathers several for one input of a step."""
        return self._commit(repo, inputs, {})

    def foreign(self, repo: str, inputs: Sequence[Reference]) -> Reference:
        """A commit that somebody else's pipeline made."""
        commit = Reference(self.project, repo, new_id())
        return self._made(repo, commit, inputs, {}, pps.JobState.JOB_SUCCESS, "")

    def _made(
        self,
        repo: str,
        commit: Reference,
        inputs: Sequence[Reference],
        metadata: dict[str, str],
        state: pps.JobState,
        reason: str,
    ) -> Reference:
        error = "" if state == pps.JobState.JOB_SUCCESS else reason or "datum failed"
        self._commit(repo, inputs, metadata, commit.version, error, self._spec(repo, commit.version))
        self._meta(repo, commit.version, [self._commits[one] for one in inputs])
        now = self._txn.now
        self._txn.db.execute(
            "INSERT INTO jobs (project, pipeline, id, version, output, state, reason, created, started, "
            "finished) VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?)",
            (
                self.project,
                repo,
                commit.version,
                self._commits[commit],
                state,
                reason,
                now,
                now,
                now + 2_400_000,
            ),
        )
        return commit

    def _commit(
        self,
        repo: str,
        inputs: Sequence[Reference],
        metadata: dict[str, str],
        set_id: str = "",
        error: str = "",
        spec: int | None = None,
    ) -> Reference:
        commit = Reference(self.project, repo, set_id or new_id())
        # each commit is a microsecond younger than the one before, so that their order is certain
        at = self._txn.now + len(self._commits)
        found = self._txn.db.execute(
            "INSERT INTO commits (repo, set_id, branch, origin, description, started, finishing, "
            "finished, error, size, layers, updated, metadata) "
            "VALUES (?, ?, 'master', 1, '', ?, ?, ?, ?, 1234, '[]', ?, ?)",
            (self._repo(repo), commit.version, at, at, at, error, at, json.dumps(metadata)),
        ).lastrowid
        assert found is not None
        upstream = [*(self._commits[one] for one in inputs), *([spec] if spec is not None else [])]
        self._txn.db.executemany(
            "INSERT INTO commit_provenance VALUES (?, ?)", [(found, one) for one in set(upstream)]
        )
        self._commits[commit] = found
        return commit

    def _repo(self, name: str, kind: str = "user") -> int:
        if f"{name}.{kind}" not in self._repos:
            row = self._txn.db.execute(
                "INSERT INTO repos (project, name, type, description, created) VALUES (?, ?, ?, '', 1)",
                (self.project, name, kind),
            )
            assert row.lastrowid is not None
            self._repos[f"{name}.{kind}"] = row.lastrowid
            if kind == "user":
                guard.own(self._txn, state.of_repo(RepoKey(self.project, name, kind)), "repoOwner")
        return self._repos[f"{name}.{kind}"]

    def _meta(self, name: str, set_id: str, upstream: list[int]) -> None:
        """Pachyderm's own commit of a job, which has the job's name, too."""
        now = self._txn.now
        found = self._txn.db.execute(
            "INSERT INTO commits (repo, set_id, branch, origin, description, started, finishing, "
            "finished, layers, updated) VALUES (?, ?, 'master', 2, '', ?, ?, ?, '[]', ?)",
            (self._repo(name, "meta"), set_id, now, now, now, now),
        ).lastrowid
        self._txn.db.executemany(
            "INSERT INTO commit_provenance VALUES (?, ?)", [(found, one) for one in set(upstream)]
        )

    def _spec(self, name: str, set_id: str) -> int:
        """The pipeline's spec commit, of its first job's set; the pipeline is made when it is missing."""
        if name not in self._specs:
            now = self._txn.now
            found = self._txn.db.execute(
                "INSERT INTO commits (repo, set_id, branch, origin, description, started, finishing, "
                "finished, layers, updated) VALUES (?, ?, 'master', 1, '', ?, ?, ?, '[]', ?)",
                (self._repo(name, "spec"), set_id, now, now, now, now),
            ).lastrowid
            assert found is not None
            self._specs[name] = found
            named = pps.Pipeline(project=pfs.Project(name=self.project), name=name)
            info = pps.PipelineInfo(
                pipeline=named,
                version=1,
                details=pps.PipelineInfoDetails(
                    transform=pps.Transform(image="ubuntu:20.04"), output_branch="master"
                ),
            )
            self._txn.db.execute(
                "INSERT INTO pipelines (project, name, version, stopped, spec_commit, created, info) "
                "VALUES (?, ?, 1, 0, ?, ?, ?)",
                (self.project, name, found, now, bytes(info)),
            )
        return self._specs[name]


def chain(history: History, length: int, run: str = "run-1", first: Reference | None = None) -> Reference:
    """Makes a chain of steps, each of which reads the one before; returns the last commit."""
    made = first or history.data()
    for number in range(length):
        made = history.step(f"step-{number}", [made], run)
    return made


def layered(history: History, layers: int, breadth: int, run: str = "run-1") -> Reference:
    """One commit over layers of steps, each of which reads two of the layer before: diamonds all over."""
    level = [history.data(f"source-{number}") for number in range(breadth)]
    for layer in range(layers):
        level = [
            history.step(f"task-{layer}-{number}", [level[number], level[(number + 1) % breadth]], run)
            for number in range(breadth)
        ]
    return history.step("last", level, run)
