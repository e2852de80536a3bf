"""The lineage's graph: commits as nodes, with all that is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.views.wording import SIGNS, duration, made_by, parameters, plain, size
from kfp_pachyderm.provenance.record import StepRecord

#: What made a commit. "source": somebody put data; "step": a KFP step; "gathered": the launcher, out of
#: several commits for one input of a step; "pipeline": a Pachyderm pipeline that is no step; "unknown": the
#: commit could not be looked at.
Kind = Literal["source", "step", "gathered", "pipeline", "unknown"]


@dataclass(frozen=True)
class Job:
    """The Pachyderm job that made a commit.

    Args:
        id: its ID, which is the commit's too.
        state: "SUCCESS", "FAILURE", "RUNNING", ...
        reason: Pachyderm's reason for the state; mostly "".
        version: the version of the Pachyderm pipeline.
        started: when the job's user code began; None: it has not.
        finished: when the job ended; None: it has not.
        image: the pipeline's image; "": a step made the commit, or the token may not see the image.
    """

    id: str
    state: str
    reason: str
    version: int
    started: datetime | None
    finished: datetime | None
    image: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it ran; None: it has not begun, or has not ended."""
        return (self.finished - self.started).total_seconds() if self.started and self.finished else None


@dataclass(frozen=True)
class Node:
    """One commit of a lineage.

    Args:
        commit: the commit.
        kind: what made it.
        state: the job's state; without a job "FINISHED", "FAILURE" or "OPEN"; "UNKNOWN": it could not be
            looked at.
        inputs: the commits that it was made from, directly.
        size: bytes of its files; None: it is open, or the size is not known.
        created: when it was started; None: not known.
        finished: when it was finished; None: it is open, or that is not known.
        error: why the job or the commit failed; "": it did not.
        job: the job that made it; None: no job did, or the job is gone.
        record: the record of the KFP step that made it; None: no step did.
        cached: whether other runs of its KFP pipeline read it, but not its own: KFP took the step from its
            cache, or the run was given this commit.
        bare: why something is missing in this node; "": nothing is.
        metadata: the commit's metadata in Pachyderm.
        where: the address of its Pachyderm, which its card asks for the files; None: the card shows no files.
    """

    commit: Reference
    kind: Kind
    state: str
    inputs: tuple[Reference, ...] = field(default=(), repr=False)
    size: int | None = field(default=None, repr=False)
    created: datetime | None = field(default=None, repr=False)
    finished: datetime | None = field(default=None, repr=False)
    error: str = ""
    job: Job | None = field(default=None, repr=False)
    record: StepRecord | None = field(default=None, repr=False)
    cached: bool = False
    bare: str = ""
    metadata: dict[str, str] = field(default_factory=dict, repr=False)
    where: Address | None = field(default=None, repr=False, compare=False)

    @property
    def failed(self) -> bool:
        """Whether its job, or the commit itself, ended with an error."""
        return self.state in ("FAILURE", "KILLED", "UNRUNNABLE")

    @property
    def title(self) -> str:
        """The KFP task's name; without a record the repo's name."""
        return self.record.task.task if self.record and self.record.task.task else self.commit.repo

    def _repr_html_(self) -> str:
        """A card for notebooks: state, job, inputs, files and pictures."""
        from kfp_pachyderm.provenance.graph.views import card

        content = card.contents_of(self.commit, self.where if with_files([self]) else None)
        return card.card(self.title, _rows(self, card.files(content))) + card.pictures(content)


def look(node: Node) -> str:
    """What a view colours and marks a node by: "failed", "cached", or its kind."""
    return "failed" if node.failed else "cached" if node.cached else node.kind


def with_files(nodes: Iterable[Node]) -> list[Reference]:
    """The commits whose files can be listed: finished ones, not empty."""
    return [one.commit for one in nodes if one.finished and one.size]


def _rows(node: Node, files: str) -> list[tuple[str, str]]:
    earlier = ", from an earlier run" if node.cached else ""
    return [
        ("State", f"{SIGNS.get(look(node), '')}{node.state}{earlier}"),
        ("Error", plain(node.error)),
        ("Made by", made_by(node.kind, node.record)),
        ("Parameters", ", ".join(f"{name}={value}" for name, value in parameters(node.record))),
        ("Job", f"{node.job.id}, {duration(node.job.seconds)}" if node.job else ""),
        ("Commit", str(node.commit)),
        ("Inputs", "\n".join(map(str, node.inputs))),
        ("Size", size(node.size)),
        ("Files", files),
        ("Note", node.bare),
    ]


@dataclass(frozen=True)
class Graph:
    """The commits of a lineage, and what leads from one to another; `Lineage` says what the fields are."""

    of: str
    roots: tuple[Reference, ...]
    down: bool
    nodes: tuple[Node, ...] = field(repr=False)
    file: str = ""
    run: str = ""

    @cached_property
    def by_commit(self) -> dict[Reference, Node]:
        """The nodes by their commits."""
        return {node.commit: node for node in self.nodes}

    def edges(self) -> Iterator[tuple[Reference, Reference]]:
        """Every pair (input, commit made from it) of which both are nodes."""
        for node in self.nodes:
            for one in node.inputs:
                if one in self.by_commit:
                    yield one, node.commit

    @cached_property
    def below(self) -> dict[Reference, tuple[Reference, ...]]:
        """Each commit with the nodes' commits that were made from it."""
        found: dict[Reference, list[Reference]] = {}
        for source, made in self.edges():
            found.setdefault(source, []).append(made)
        return {commit: tuple(made) for commit, made in found.items()}
