"""A lineage: what was asked for is walked, and what is found becomes nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from kfp_pachyderm.errors import PachydermError, PachydermUnreachableError
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs import job_facts
from kfp_pachyderm.pachd.jobs.job_facts import JobFacts
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.links import Links
from kfp_pachyderm.provenance.graph.model import Lineage, Node
from kfp_pachyderm.provenance.graph.node import is_derived, node, stored_on
from kfp_pachyderm.provenance.graph.target import Target, target
from kfp_pachyderm.provenance.graph.walk import Asker, Seen, walk
from kfp_pachyderm.provenance.record import StepRecord
from kfp_pachyderm.provenance.stored_record import Stored


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
    stored = {commit: stored_on(one) for commit, one in seen.items()}
    links = Links(seen, stored)
    walked = (one for one in seen.values() if isinstance(one, CommitFacts) and seen.keys() >= set(one.inputs))
    every = (one for facts in walked for one in links.inputs(facts.commit) if one not in seen)
    named = list(dict.fromkeys(every))
    asked = Asker().ask(lambda one: commit_facts.inspect(pachd, one), named)
    return dict(zip(named, asked, strict=True))


def nodes(pachd: Pachd, seen: Mapping[Reference, Seen]) -> list[Node]:
    """A node for each commit."""
    stored = {commit: stored_on(one) for commit, one in seen.items()}
    links = Links(seen, stored)
    jobs = _jobs(pachd, {one: facts for one, facts in seen.items() if one not in links.gathered}, stored)

    def made(commit: Reference) -> Node:
        found = node(commit, seen[commit], stored[commit], jobs.get(commit), links.inputs(commit))
        found = replace(found, where=pachd.address)
        return replace(found, kind="gathered", bare="") if commit in links.gathered else found

    return [made(commit) for commit in seen]


def _jobs(
    pachd: Pachd, seen: Mapping[Reference, Seen], stored: Mapping[Reference, Stored | None]
) -> dict[Reference, JobFacts | PachydermError]:
    """The jobs that made the commits; Pachyderm is asked of those only that no record tells of."""
    made = [one for one in seen.values() if isinstance(one, CommitFacts) and is_derived(one)]
    told = {one.commit: recorded_job(one, stored[one.commit]) for one in made}
    unknown = [commit for commit, job in told.items() if job is None]
    asked = Asker().ask(lambda one: _look(pachd, one, stored[one] is None), unknown)
    return {**{commit: job for commit, job in told.items() if job}, **dict(zip(unknown, asked, strict=True))}


def recorded_job(facts: CommitFacts, stored: Stored | None) -> JobFacts | None:
    """The job of a good commit as the step's record tells of it; None: no record tells."""
    if stored is None or stored.problem or stored.record.state != "SUCCESS" or facts.error:
        return None
    record = stored.record
    with suppress(ValueError):
        times = datetime.fromisoformat(record.started), datetime.fromisoformat(record.finished)
        return JobFacts(record.version, record.state, "", *times) if facts.finished else None
    return None


def _look(pachd: Pachd, commit: Reference, details: bool) -> JobFacts:
    if details:  # for the image, which nobody wrote on the commit
        try:
            return job_facts.inspect(pachd, commit, details=True)
        except PachydermUnreachableError:
            raise
        except PachydermError:
            pass  # without details less is needed for it
    return job_facts.inspect(pachd, commit)


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
