"""What a lineage is: commits as nodes, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.record import StepRecord

#: "source": data that somebody put; "step": what a KFP step made; "gathered": commits that became one for an
#: input of a step; "pipeline": what a pipeline of somebody else made; "unknown": could not be looked at.
Kind = Literal["source", "step", "gathered", "pipeline", "unknown"]


@dataclass(frozen=True)
class Job:
    """The Pachyderm job that made a commit.

    Args:
        id: its ID, which is the commit's too.
        state: "SUCCESS", "FAILURE", "RUNNING", ...
        reason: what Pachyderm says of its state; mostly "".
        version: of the Pachyderm pipeline.
        started: when user code began; None: not yet.
        finished: when it ended; None: not yet.
        image: of a pipeline of somebody else's, where its details may be seen; "".
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
        """How long it ran; None: it has not ended."""
        return (self.finished - self.started).total_seconds() if self.started and self.finished else None


@dataclass(frozen=True)
class Node:
    """One commit of a lineage.

    Args:
        commit: the commit.
        kind: who made it.
        state: the job's state; without a job "FINISHED", "FAILURE" or "OPEN"; "UNKNOWN".
        inputs: the commits that it was made from, directly.
        size: bytes of its files; None where that is not known.
        created: when it was begun; None where that is not known.
        finished: when it was closed; None: it is open, or that is not known.
        error: what went wrong; "".
        job: the job that made it; None: none did, or it is gone.
        record: what the KFP step that made it has written down; None: none did.
        cached: whether an earlier run of the same KFP pipeline made it than the one that reads it: KFP took
            the step from its cache, or was given that commit.
        bare: why less is known of it than of others; "".
        metadata: the commit's.
        where: its Pachyderm, which its card asks for the files; None: that is not asked.
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
        """The task's name, or the repo's."""
        return self.record.task.task if self.record and self.record.task.task else self.commit.repo

    def _repr_html_(self) -> str:
        """A card for notebooks."""
        from kfp_pachyderm.provenance.graph.views.card import node_card

        return node_card(self)


@dataclass(frozen=True)
class Lineage:
    """What a commit was made from, or with `down` what was made from it.

    Args:
        of: what was asked for.
        roots: the commits that this means: one, or all that a run has made.
        down: whether it leads to what was made from them.
        nodes: each commit once, nearest to the roots first.
        file: the file that was asked for; "".
        run: the KFP run that was asked for; "".
    """

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
        """Every (input, what was made from it) of which both are nodes."""
        for node in self.nodes:
            for one in node.inputs:
                if one in self.by_commit:
                    yield one, node.commit

    @cached_property
    def below(self) -> dict[Reference, tuple[Reference, ...]]:
        """What was made from each commit, as far as it is a node."""
        found: dict[Reference, list[Reference]] = {}
        for source, made in self.edges():
            found.setdefault(source, []).append(made)
        return {commit: tuple(made) for commit, made in found.items()}

    def text(self) -> str:
        """A tree of text, one line for each commit and use."""
        from kfp_pachyderm.provenance.graph.views.text import tree

        return "".join(f"{line}\n" for line, _ in tree(self))

    def as_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and numbers; `lineage.schema.json` beside this file describes them."""
        from kfp_pachyderm.provenance.graph.views.as_json import as_json

        return as_json(self)

    def mermaid(self) -> str:
        """A Mermaid flowchart."""
        from kfp_pachyderm.provenance.graph.views.mermaid import mermaid

        return mermaid(self)

    def html(self) -> str:
        """One page that needs nothing else; without the files of the commits, which the command shows."""
        from kfp_pachyderm.provenance.graph.views.html import page

        return page(self)

    def _repr_html_(self) -> str:
        """A card for notebooks."""
        from kfp_pachyderm.provenance.graph.views.card import lineage_card

        return lineage_card(self)
