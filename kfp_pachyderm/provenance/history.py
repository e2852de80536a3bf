"""The KFP runs that have left commits in Pachyderm, found by the commits' metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.pachd.commits import commit_facts as commits
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pfs
from kfp_pachyderm.provenance.graph.views.wording import moment, size
from kfp_pachyderm.provenance.kfp_task import PREFIX, RUN_KEY

#: Repos that are listed at the same time, and seconds for the list of one repo.
_THREADS, _LIST_TIMEOUT = 4, 120.0


@dataclass(frozen=True)
class Run:
    """A KFP run that left commits.

    Args:
        id: the run's ID.
        pipeline: the KFP pipeline.
        state: "RUNNING": a commit is open; "FAILURE": the newest commit of a task's execution failed;
            "SUCCESS": neither.
        started: when the first of its commits was started.
        finished: when the last of its commits was finished; None: a commit is open.
        commits: number of commits.
        failed: number of commits that failed.
        size: bytes in all commits.
        project: the commits' project; several projects are separated by commas.
    """

    id: str
    pipeline: str
    state: str
    started: datetime | None = field(repr=False)
    finished: datetime | None = field(repr=False)
    commits: int
    failed: int
    size: int
    project: str

    def _repr_html_(self) -> str:
        """A card for notebooks."""
        from kfp_pachyderm.provenance.graph.views.card import card

        rows = [
            ("State", self.state),
            ("KFP pipeline", self.pipeline),
            ("Began", moment(self.started)),
            ("Ended", moment(self.finished)),
            ("Commits", f"{self.commits} in {self.project}, {size(self.size)}"),
            ("Failed", str(self.failed or "")),
        ]
        return card(f"KFP run {self.id}", rows)


def of_run(
    pachd: Pachd, run: str, project: str | None = None
) -> tuple[dict[Reference, CommitFacts], list[str]]:
    """The commits that a KFP run has made, newest first, and a line for each repo that can't be listed.

    Args:
        pachd: the connection.
        run: the run's ID.
        project: where to look; None: in every project.
    """
    mark = run.encode()
    found, told = _marked(pachd, project, lambda data: mark in data)
    ours = [one for one in found if one.metadata.get(RUN_KEY) == run]
    return {one.commit: one for one in ours}, told


def runs(pachd: Pachd, project: str | None, limit: int | None = None) -> tuple[list[Run], list[str]]:
    """The KFP runs that left commits, newest first, and a line for each repo that can't be listed.

    Args:
        pachd: the connection.
        project: where to look; None: in every project.
        limit: the largest number of runs; None: all runs.
    """
    mark = RUN_KEY.encode()
    found, told = _marked(pachd, project, lambda data: mark in data)
    by_run: dict[str, list[CommitFacts]] = {}
    for one in found:
        by_run.setdefault(one.metadata[RUN_KEY], []).append(one)
    every = sorted((_run(run, made) for run, made in by_run.items()), key=_age)
    return every[:limit], told


def _marked(
    pachd: Pachd, project: str | None, wanted: Callable[[bytes], bool]
) -> tuple[list[CommitFacts], list[str]]:
    """The commits of all repos that have a KFP run in their metadata, newest first.

    `wanted` sees a commit's undecoded bytes; commits that it refuses are not decoded, which saves time.
    """
    patient = pachd.patient(_LIST_TIMEOUT)
    projects = [pfs.Project(name=project)] if project else []
    repos = [one.repo for one in patient.pfs.list_repo(type="user", projects=projects)]

    def look(repo: pfs.Repo) -> list[CommitFacts] | PachydermError:
        try:
            every = commits.of_repo(patient, repo.project.name, repo.name)
            return [commits.decode(data) for data in every if wanted(data)]
        except PachydermError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as threads:
        seen = list(zip(repos, threads.map(look, repos), strict=True))
    told = [
        f"{repo.project.name}/{repo.name} could not be looked into: {one}"
        for repo, one in seen
        if isinstance(one, PachydermError)
    ]
    found = [facts for _, one in seen if not isinstance(one, PachydermError) for facts in one]
    return sorted((one for one in found if RUN_KEY in one.metadata), key=_begun, reverse=True), told


def _begun(facts: CommitFacts) -> float:
    return facts.started.timestamp() if facts.started else 0.0


def _age(run: Run) -> float:
    return -(run.started.timestamp() if run.started else 0.0)


def _run(run: str, made: list[CommitFacts]) -> Run:
    open_ones = [one for one in made if not one.finished]
    started = [one.started for one in made if one.started]
    finished = [one.finished for one in made if one.finished]
    return Run(
        run,
        next(_pipelines(made), ""),
        "RUNNING" if open_ones else "FAILURE" if _failed_tasks(made) else "SUCCESS",
        min(started, default=None),
        max(finished, default=None) if not open_ones else None,
        len(made),
        sum(bool(one.error) for one in made),
        sum(one.size for one in made),
        ", ".join(sorted({one.commit.project for one in made})),
    )


def _pipelines(made: list[CommitFacts]) -> Iterator[str]:
    return (name for one in made if (name := one.metadata.get(f"{PREFIX}pipeline", "")))


def _failed_tasks(made: list[CommitFacts]) -> bool:
    """Whether the newest commit of any task's execution failed; a failed attempt before it does not count."""
    newest: dict[tuple[str, str], CommitFacts] = {}
    for one in sorted(made, key=_begun):
        newest[one.metadata.get(f"{PREFIX}task", ""), one.metadata.get(f"{PREFIX}salt", "")] = one
    return any(one.error for one in newest.values())


def as_json(run: Run) -> dict[str, Any]:
    """A run as JSON takes it; times are ISO 8601."""
    times = {name: getattr(run, name) for name in ("started", "finished")}
    said = {name: time.isoformat(timespec="milliseconds") if time else None for name, time in times.items()}
    return {**asdict(run), **said}
