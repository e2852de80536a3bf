"""The lineage graph's types: commits as nodes, with all that is known of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.references import Reference
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
        """A card for notebooks."""
        from kfp_pachyderm.provenance.graph.views.card import node_card

        return node_card(self)


@dataclass(frozen=True)
class Lineage:
    """What a commit was made from, or with `down` what was made from it.

    Args:
        of: the text that was asked for.
        roots: the commits that the text names: one, or all that a run or a job has made.
        down: whether the graph leads to what was made from the roots, instead of to what they were made from.
        nodes: each commit once, nearest to the roots first.
        file: the path of the file that was asked for; "": no file was.
        run: the ID of the KFP run that was asked for; "": no run was.
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

    def text(self) -> str:
        """A tree of text: a commit has a line for each commit that it is shown under."""
        from kfp_pachyderm.provenance.graph.views.text import tree

        return "".join(f"{line}\n" for line, _ in tree(self))

    def as_json(self) -> dict[str, Any]:
        """Dicts, lists, texts and numbers, ready for `json.dumps`; `lineage.schema.json` describes them."""
        from kfp_pachyderm.provenance.graph.views.as_json import as_json

        return as_json(self)

    def mermaid(self) -> str:
        """A Mermaid flowchart."""
        from kfp_pachyderm.provenance.graph.views.mermaid import mermaid

        return mermaid(self)

    def html(self) -> str:
        """One HTML page that loads nothing; it lists no files: `kfp-pachyderm lineage --html` does."""
        from kfp_pachyderm.provenance.graph.views.html import page

        return page(self)

    def _repr_html_(self) -> str:
        """A card for notebooks."""
        from kfp_pachyderm.provenance.graph.views.card import lineage_card

        return lineage_card(self)
