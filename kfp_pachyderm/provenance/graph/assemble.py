"""Out of what Pachyderm says of commits and jobs: the nodes of a lineage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kfp_pachyderm.errors import AuthenticationError, NotFoundError, PachydermError, PachydermUnreachableError
from kfp_pachyderm.pachyderm import commits, job_facts
from kfp_pachyderm.pachyderm.address import Address
from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.commits import CommitFacts
from kfp_pachyderm.pachyderm.job_facts import JobFacts
from kfp_pachyderm.pachyderm.references import Reference
from kfp_pachyderm.provenance.graph.model import Job, Kind, Lineage, Node
from kfp_pachyderm.provenance.graph.target import Target, target
from kfp_pachyderm.provenance.graph.walk import Asker, Seen, walk
from kfp_pachyderm.provenance.record import FAILURE_KEY, StepRecord
from kfp_pachyderm.provenance.stored import read


def lineage(
    pachd: Pachd, of: str, *, down: bool = False, depth: int | None = None, project: str = "default"
) -> Lineage:
    """The lineage of whatever a text names; arguments and errors as of `target` and `walk`."""
    return of_target(pachd, target(pachd, of, project), down, depth)


def of_target(pachd: Pachd, start: Target, down: bool, depth: int | None) -> Lineage:
    """The lineage of what was found."""
    seen = walk(pachd, start.commits, down=down, depth=depth, known=start.known)
    if not down:
        seen.update(_forgotten(pachd, seen))
    found = Lineage(start.text, start.commits, down, tuple(nodes(pachd, seen)), start.file, start.run)
    return replace(found, nodes=tuple(_with_cached(found)))


def _forgotten(pachd: Pachd, seen: Mapping[Reference, Seen]) -> dict[Reference, Seen]:
    """The inputs that only the steps' records name: dropped, or gone with their repo."""
    walked = (one for one in seen.values() if isinstance(one, CommitFacts) and seen.keys() >= set(one.inputs))
    named = dict.fromkeys(one for facts in walked for one in _inputs(facts) if one not in seen)
    asked = Asker().ask(lambda one: commits.inspect(pachd, one), list(named))
    return dict(zip(named, asked, strict=True))


def nodes(pachd: Pachd, seen: Mapping[Reference, Seen]) -> list[Node]:
    """A node for each commit, with the job of those that a pipeline made."""
    made = [one for one in seen.values() if isinstance(one, CommitFacts) and _is_derived(one)]
    jobs = dict(zip((one.commit for one in made), _jobs(pachd, made), strict=True))
    return [node(commit, one, jobs.get(commit), pachd.address) for commit, one in seen.items()]


def _jobs(pachd: Pachd, made: list[CommitFacts]) -> list[JobFacts | PachydermError]:
    ours = {one.commit for one in made if read(one.commit, one.metadata)}

    def look(commit: Reference) -> JobFacts:
        if commit not in ours:  # whose image nobody wrote on the commit
            try:
                return job_facts.inspect(pachd, commit, details=True)
            except PachydermUnreachableError:
                raise
            except PachydermError:
                pass  # without details less is needed for it
        return job_facts.inspect(pachd, commit)

    return Asker().ask(look, [one.commit for one in made])


def node(
    commit: Reference, seen: Seen, job: JobFacts | PachydermError | None, where: Address | None = None
) -> Node:
    """The node of one commit.

    Args:
        commit: the commit.
        seen: what Pachyderm says of it.
        job: what it says of its job; None: no pipeline made it.
        where: the Pachyderm.
    """
    if isinstance(seen, PachydermError):
        return Node(commit, "unknown", "UNKNOWN", bare=_why(seen, commit))
    stored = read(commit, seen.metadata)
    kind: Kind = "step" if stored else "pipeline" if _is_derived(seen) else "source"
    return Node(
        commit,
        kind,
        job.state if isinstance(job, JobFacts) else _state(seen),
        inputs=_inputs(seen),
        size=seen.size if seen.finished else None,
        created=seen.started,
        finished=seen.finished,
        error=seen.metadata.get(FAILURE_KEY)
        or (job.reason if isinstance(job, JobFacts) else "")
        or seen.error,
        job=_job(commit, job) if isinstance(job, JobFacts) else None,
        record=stored.record if stored else None,
        bare="; ".join(_bare(commit, kind, job, stored.problem if stored else "")),
        metadata=seen.metadata,
        where=where,
    )


def _is_derived(seen: CommitFacts) -> bool:
    """Whether a pipeline made it, also one that is gone with its spec."""
    return seen.by_pipeline or bool(seen.inputs)


def _inputs(seen: CommitFacts) -> tuple[Reference, ...]:
    """What it was made from, also what Pachyderm has forgotten since its step wrote it down."""
    stored = read(seen.commit, seen.metadata)
    recorded = stored.record.inputs.values() if stored else ()
    return tuple(dict.fromkeys((*seen.inputs, *recorded)))


def _state(seen: CommitFacts) -> str:
    return "OPEN" if not seen.finished else "FAILURE" if seen.error else "FINISHED"


def _job(commit: Reference, job: JobFacts) -> Job:
    return Job(commit.version, job.state, job.reason, job.version, job.started, job.finished, job.image)


def _bare(
    commit: Reference, kind: Kind, job: JobFacts | PachydermError | None, problem: str
) -> Iterator[str]:
    if kind == "pipeline":
        yield (
            f"pipeline {commit.project}/{commit.repo} made it, which is no step of kfp-pachyderm's: nobody "
            "wrote down its KFP run, component and parameters"
        )
    if problem:
        yield f"its record can't be read: {problem}"
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


def _with_cached(found: Lineage) -> Iterator[Node]:
    for one in found.nodes:
        below = [found.by_commit[made].record for made in found.below.get(one.commit, ())]
        yield replace(one, cached=_is_cached(one.record, below, found.run))


def _is_cached(made: StepRecord | None, readers: list[StepRecord | None], run: str) -> bool:
    """Whether only later runs of the same KFP pipeline read it, of which one may be the run asked for."""
    if made is None or not made.task.run or made.task.run == run:
        return False
    tasks = [one.task for one in readers if one and one.task.pipeline == made.task.pipeline]
    return bool(tasks) and all(one.run != made.task.run for one in tasks)
