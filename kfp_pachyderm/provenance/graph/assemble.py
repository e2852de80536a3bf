"""Builds a `Lineage`: walks the commits' provenance and makes a node of each commit."""

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
from kfp_pachyderm.provenance.graph.lineage import Lineage
from kfp_pachyderm.provenance.graph.links import Links
from kfp_pachyderm.provenance.graph.model import Node
from kfp_pachyderm.provenance.graph.node import is_derived, node, stored_on
from kfp_pachyderm.provenance.graph.target import Target, target
from kfp_pachyderm.provenance.graph.walk import Asker, Seen, walk
from kfp_pachyderm.provenance.record import StepRecord
from kfp_pachyderm.provenance.stored_record import Stored


def lineage(
    pachd: Pachd, of: str, *, down: bool = False, depth: int | None = None, project: str = "default"
) -> Lineage:
    """The lineage of the commits that `of` names; arguments and errors as for `target` and `walk`."""
    return of_target(pachd, target(pachd, of, project), down, depth)


def of_target(pachd: Pachd, start: Target, down: bool, depth: int | None) -> Lineage:
    """The lineage of a target's commits; arguments and errors as for `walk`."""
    seen = walk(pachd, start.commits, down=down, depth=depth, known=start.known)
    if not down:
        seen.update(_forgotten(pachd, seen))
    found = Lineage(start.text, start.commits, down, tuple(nodes(pachd, seen)), start.file, start.run)
    return replace(found, nodes=tuple(_with_cached(found)))


def _forgotten(pachd: Pachd, seen: Mapping[Reference, Seen]) -> dict[Reference, Seen]:
    """The inputs that the steps' records name but Pachyderm's provenance does not: their commits are gone."""
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
    """The jobs that made the commits; Pachyderm is asked only for jobs that no record describes."""
    made = [one for one in seen.values() if isinstance(one, CommitFacts) and is_derived(one)]
    told = {one.commit: recorded_job(one, stored[one.commit]) for one in made}
    unknown = [commit for commit, job in told.items() if job is None]
    asked = Asker().ask(lambda one: _look(pachd, one, stored[one] is None), unknown)
    return {**{commit: job for commit, job in told.items() if job}, **dict(zip(unknown, asked, strict=True))}


def recorded_job(facts: CommitFacts, stored: Stored | None) -> JobFacts | None:
    """The job of a good commit, from the step's record; None: there is no record of a good end."""
    if stored is None or stored.problem or stored.record.state != "SUCCESS" or facts.error:
        return None
    record = stored.record
    with suppress(ValueError):
        times = datetime.fromisoformat(record.started), datetime.fromisoformat(record.finished)
        return JobFacts(record.version, record.state, "", *times) if facts.finished else None
    return None


def _look(pachd: Pachd, commit: Reference, details: bool) -> JobFacts:
    if details:  # they have the image, which no record has
        try:
            return job_facts.inspect(pachd, commit, details=True)
        except PachydermUnreachableError:
            raise
        except PachydermError:
            pass  # the call below needs fewer permissions
    return job_facts.inspect(pachd, commit)


def _with_cached(found: Lineage) -> Iterator[Node]:
    for one in found.nodes:
        below = [found.by_commit[made].record for made in found.below.get(one.commit, ())]
        yield replace(one, cached=_is_cached(one.record, below, found.run))


def _is_cached(made: StepRecord | None, readers: list[StepRecord | None], run: str) -> bool:
    """Whether steps of the same KFP pipeline read the commit, all of them in other runs than its own.

    A commit of the run that was asked for is never cached.
    """
    if made is None or not made.task.run or made.task.run == run:
        return False
    tasks = [one.task for one in readers if one and one.task.pipeline == made.task.pipeline]
    return bool(tasks) and all(one.run != made.task.run for one in tasks)
