"""Jobs: one for each output commit, with its commit set's ID; their states and what ends them.

Source: Pachyderm src/server/pps/server/api_server.go (propagateJobs, stopJob),
src/internal/ppsutil/util.go (UpdateJobState, FinishJob).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any, NamedTuple

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.auth import guard
from kfp_pachyderm.embedded.pps import stored_info
from kfp_pachyderm.embedded.status import Refused, not_found
from kfp_pachyderm.embedded.store import commits, repos
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Txn

State = pps.JobState
TERMINAL = (State.JOB_SUCCESS, State.JOB_FAILURE, State.JOB_KILLED, State.JOB_UNRUNNABLE)


class JobKey(NamedTuple):
    """A job's full name."""

    project: str
    pipeline: str
    id: str

    def __str__(self) -> str:
        return f"{self.project}/{self.pipeline}@{self.id}"


@dataclass(frozen=True)
class Created:
    """Event: the pipeline has a new job."""

    project: str
    pipeline: str


@dataclass(frozen=True)
class Ended:
    """Event: the job is terminal, or deleted."""

    key: JobKey


@dataclass(frozen=True)
class Job:
    """A row of `jobs`."""

    seq: int
    key: JobKey
    version: int
    output: int
    state: int
    reason: str
    restart: int
    total: int
    processed: int
    skipped: int
    failed: int
    recovered: int
    created: int
    started: int | None
    finished: int | None
    token: str

    @property
    def terminal(self) -> bool:
        """Whether the job has reached its last state."""
        return self.state in TERMINAL


_COLUMNS = """seq, project, pipeline, id, version, output, state, reason, restart, total, processed, skipped,
  failed, recovered, created, started, finished, token"""


def _job(row: Any) -> Job:
    return Job(row[0], JobKey(*row[1:4]), *row[4:])


def select(db: sqlite3.Connection, where: str, values: tuple[Any, ...] = ()) -> list[Job]:
    """The jobs that an SQL clause selects ("WHERE ... ORDER BY ...")."""
    return [_job(row) for row in db.execute(f"SELECT {_COLUMNS} FROM jobs {where}", values)]  # noqa: S608


def find(db: sqlite3.Connection, key: JobKey) -> Job | None:
    """The job of that name, if there is one."""
    return next(iter(select(db, "WHERE (project, pipeline, id) = (?, ?, ?)", key)), None)


def get(db: sqlite3.Connection, key: JobKey) -> Job:
    """The job of that name."""
    found = find(db, key)
    if found is None:
        raise not_found(f"jobs {key} not found")
    return found


def unfinished(db: sqlite3.Connection, project: str, pipeline: str) -> list[Job]:
    """A pipeline's jobs that are not terminal, oldest first."""
    return select(
        db, "WHERE (project, pipeline) = (?, ?) AND finished IS NULL ORDER BY seq", (project, pipeline)
    )


def propagate(txn: Txn) -> None:
    """Makes a job for each new open output commit of the transaction."""
    if not txn.propagate_jobs:
        return
    where = "WHERE c.set_id = ? AND c.finishing IS NULL AND r.type = 'user' ORDER BY c.id"
    for commit in commits.select(txn.db, where, (txn.set_id,)):
        row = txn.db.execute(
            "SELECT version, info FROM pipelines WHERE (project, name) = (?, ?) "
            "ORDER BY version DESC LIMIT 1",
            (commit.repo.project, commit.repo.name),
        ).fetchone()
        key = JobKey(commit.repo.project, commit.repo.name, txn.set_id)
        if row is None or find(txn.db, key) is not None:
            continue
        if commit.branch != stored_info.shared(row[1]).details.output_branch:
            continue
        txn.db.execute(
            "INSERT INTO jobs (project, pipeline, id, version, output, state, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*key, row[0], commit.id, State.JOB_CREATED, txn.now),
        )
        txn.events.append(Created(key.project, key.pipeline))


def set_state(txn: Txn, job: Job, state: int, reason: str = "") -> None:
    """Sets a job's state and its reason.

    Raises:
        Refused: the job is terminal already.
    """
    current = get(txn.db, job.key)
    if current.terminal:
        raise Refused(f"job {job.key} has already finished")
    starts = state == State.JOB_RUNNING or state in TERMINAL
    txn.db.execute(
        "UPDATE jobs SET state = ?, reason = ?, started = coalesce(started, ?), finished = ? WHERE seq = ?",
        (state, reason, txn.now if starts else None, txn.now if state in TERMINAL else None, job.seq),
    )
    if state in TERMINAL:
        txn.events.append(Ended(job.key))


def count(txn: Txn, job: Job, **counts: int) -> None:
    """Sets counters of a job: its datums (total, processed, failed, recovered), or `restart`."""
    columns = ", ".join(f"{name} = ?" for name in counts)
    query = f"UPDATE jobs SET {columns} WHERE seq = ?"  # noqa: S608
    txn.db.execute(query, (*counts.values(), job.seq))


def end(txn: Txn, job: Job, state: int, reason: str = "") -> None:
    """Finishes a job's commits and makes it terminal; an error of its output turns success into failure."""
    error = _finish_commits(txn, job, "" if state == State.JOB_SUCCESS else reason)
    if state == State.JOB_SUCCESS and error:
        state, reason = State.JOB_FAILURE, error
    set_state(txn, job, state, reason)


def _finish_commits(txn: Txn, job: Job, error: str) -> str:
    found = ""
    for type_ in ("meta", "user"):
        repo = repos.find_repo(txn.db, RepoKey(job.key.project, job.key.pipeline, type_))
        commit = commits.find(txn.db, repo.id, job.key.id) if repo else None
        if commit is None or commit.finishing is not None:
            continue
        # In pachd a meta commit on an open one stays in finishing, and the job ends all the same.
        if type_ == "meta" and not error and commits.open_base(txn.db, commit) is not None:
            continue
        found = commits.finish(txn, commit, error)
    return found


def stop(txn: Txn, job: Job, reason: str = "") -> None:
    """Kills a job; nothing happens to a terminal one."""
    if not get(txn.db, job.key).terminal:
        end(txn, job, State.JOB_KILLED, reason or "job stopped")


def stop_all(txn: Txn, project: str, pipeline: str, reason: str) -> None:
    """Kills a pipeline's unfinished jobs. The reason names the caller, with auth off `unknown_username`."""
    caller = guard.caller()
    user = caller.name if caller is not None else "unknown_username"
    for job in unfinished(txn.db, project, pipeline):
        stop(txn, job, f"{reason} for user {user}")


def delete(txn: Txn, job: Job) -> None:
    """Kills a job and removes it; its output commit stays."""
    stop(txn, job, "job deleted")
    txn.db.execute("DELETE FROM datums WHERE job = ?", (job.seq,))
    txn.db.execute("DELETE FROM jobs WHERE seq = ?", (job.seq,))
    txn.events.append(Ended(job.key))
