"""What `diff` found: step by step, what differs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal


@dataclass(frozen=True)
class Change:
    """A fact that differs.

    Args:
        name: of the fact, or of the parameter.
        before: as text, JSON of a parameter; None: not there, or not known.
        after: the same later.
    """

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class FileChange:
    """A file that differs.

    Args:
        path: its path.
        kind: "added", "removed", "changed".
        before: bytes; None: not there.
        after: bytes; None: not there.
    """

    path: str
    kind: Literal["added", "removed", "changed"]
    before: int | None
    after: int | None


@dataclass(frozen=True)
class InputDiff:
    """An input that is another commit.

    Args:
        name: the input.
        before: the commit; None: there is no such input.
        after: the same later.
        files: which files differ between the two.
    """

    name: str
    before: str | None
    after: str | None
    files: tuple[FileChange, ...] = ()


@dataclass(frozen=True)
class StepDiff:
    """What differs between two commits, or two runs' commits of one task.

    Args:
        task: the KFP task; "" of commits that no step of ours wrote.
        before: the commit, `project/repo@<ID>`; None: the run has no such step.
        after: the same later.
        inputs: inputs that are other commits.
        code: component, its digest, its image.
        command: where the command's text differs and is known on both sides: the lines of a unified diff.
        parameters: parameters' values.
        versions: kfp, kfp-pachyderm, git commit and file.
        files: files of the output.
        unseen: what could not be compared, and why.
    """

    task: str
    before: str | None
    after: str | None
    inputs: tuple[InputDiff, ...] = ()
    code: tuple[Change, ...] = ()
    command: tuple[str, ...] = ()
    parameters: tuple[Change, ...] = ()
    versions: tuple[Change, ...] = ()
    files: tuple[FileChange, ...] = ()
    unseen: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs, as far as it could be compared."""
        parts = (self.inputs, self.code, self.command, self.parameters, self.versions, self.files)
        return self.before is not None and self.after is not None and not any(parts)


@dataclass(frozen=True)
class Diff:
    """What changed.

    Args:
        before: what was asked for first: a commit or a run.
        after: what was asked for second.
        steps: one of two commits; of two runs each task's.
    """

    before: str
    after: str
    steps: tuple[StepDiff, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs, as far as it could be compared."""
        return all(one.same for one in self.steps)

    def text(self) -> str:
        """The same as lines for people; long lists are cut."""
        from kfp_pachyderm.provenance.compare.text import lines

        return "".join(f"{line}\n" for line in lines(self))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text())}</pre>"

    def html(self) -> str:
        """The same as one page that needs nothing else."""
        from kfp_pachyderm.provenance.compare.html import page

        return page(self)

    def as_json(self) -> dict[str, Any]:
        """The same as plain dicts, lists, texts and numbers."""
        steps = [{**asdict(one), "same": one.same} for one in self.steps]
        return {
            "version": 1,
            "before": self.before,
            "after": self.after,
            "same": self.same,
            "steps": steps,
        }
