"""Makes a lineage's node out of Pachyderm's answers on one commit and its job."""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.errors import AuthenticationError, NotFoundError, PachydermError, PachydermUnreachableError
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.jobs.job_facts import JobFacts
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.model import Job, Kind, Node
from kfp_pachyderm.provenance.kfp_task import FAILURE_KEY
from kfp_pachyderm.provenance.stored_record import Stored, read


def node(
    commit: Reference,
    seen: CommitFacts | PachydermError,
    stored: Stored | None,
    job: JobFacts | PachydermError | None,
    inputs: tuple[Reference, ...],
) -> Node:
    """The node of one commit.

    Args:
        commit: the commit.
        seen: Pachyderm's answer on the commit.
        stored: its record; None: it has none.
        job: its job, or why the job could not be looked at; None: no pipeline made the commit.
        inputs: the commits that it was made from.
    """
    if isinstance(seen, PachydermError):
        return Node(commit, "unknown", "UNKNOWN", bare=_why(seen, commit))
    kind: Kind = "step" if stored else "pipeline" if is_derived(seen) else "source"
    known = job if isinstance(job, JobFacts) else None
    return Node(
        commit,
        kind,
        known.state if known else _state(seen),
        inputs=inputs,
        size=seen.size if seen.finished else None,
        created=seen.started,
        finished=seen.finished,
        error=seen.metadata.get(FAILURE_KEY) or (known.reason if known else "") or seen.error,
        job=_job(commit, known) if known else None,
        record=stored.record if stored else None,
        bare="; ".join(_bare(commit, kind, stored, job)),
        metadata=seen.metadata,
    )


def stored_on(seen: CommitFacts | PachydermError) -> Stored | None:
    """The commit's record; None: no step made the commit, or it can't be looked at."""
    return read(seen.commit, seen.metadata) if isinstance(seen, CommitFacts) else None


def is_derived(seen: CommitFacts) -> bool:
    """Whether a pipeline made the commit; a pipeline that was deleted counts, too."""
    return seen.by_pipeline or bool(seen.inputs)


def recorded(stored: Stored | None) -> tuple[Reference, ...]:
    """The inputs that the record names."""
    return tuple(stored.record.inputs.values()) if stored else ()


def _state(seen: CommitFacts) -> str:
    return "OPEN" if not seen.finished else "FAILURE" if seen.error else "FINISHED"


def _job(commit: Reference, job: JobFacts) -> Job:
    return Job(commit.version, job.state, job.reason, job.version, job.started, job.finished, job.image)


def _bare(
    commit: Reference, kind: Kind, stored: Stored | None, job: JobFacts | PachydermError | None
) -> Iterator[str]:
    if kind == "pipeline":
        yield (
            f"pipeline {commit.project}/{commit.repo} made it, which is no step of kfp-pachyderm's: nobody "
            "wrote down its KFP run, component and parameters"
        )
    if stored and stored.problem:
        yield f"its record can't be read: {stored.problem}"
    if isinstance(job, NotFoundError):
        yield "its job is gone: the job or its pipeline was deleted"
    elif isinstance(job, PachydermError):
        yield f"its job could not be looked at: {_why(job, commit)}"


def _why(error: PachydermError, commit: Reference) -> str:
    if isinstance(error, NotFoundError):
        return "Pachyderm has no such commit any more: it was dropped, squashed or deleted with its repo"
    if isinstance(error, AuthenticationError):
        return (
            f"this token may not look at it; bind the role repoReader: pachctl auth set repo {commit.repo} "
            f"repoReader <principal> --project {commit.project}"
        )
    if isinstance(error, PachydermUnreachableError):
        return f"Pachyderm went away while the graph was walked, ask again: {error}"
    return f"Pachyderm does not say what it is: {error}"
