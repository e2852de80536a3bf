"""The differences between two steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Change:
    """A fact that differs.

    Args:
        name: the name of the fact, or of the parameter.
        before: the first commit's value as text, a parameter's as JSON; None: it has none, or none is known.
        after: the second commit's value, in the same form.
    """

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class FileChange:
    """A file that differs.

    Args:
        path: its path.
        kind: "added", "removed" or "changed".
        before: bytes in the first commit; None: the file is not there.
        after: bytes in the second commit; None: the file is not there.
    """

    path: str
    kind: Literal["added", "removed", "changed"]
    before: int | None
    after: int | None


@dataclass(frozen=True)
class InputDiff:
    """An input for which the two steps read different commits.

    Args:
        name: the input's name.
        before: the commit that the first step read; None: it has no such input.
        after: the commit that the second step read; None: it has no such input.
        files: the files that differ between the two commits.
    """

    name: str
    before: str | None
    after: str | None
    files: tuple[FileChange, ...] = ()


@dataclass(frozen=True)
class StepDiff:
    """What differs between two commits, or two runs' commits of one task.

    Args:
        task: the KFP task's name; "": no step of kfp-pachyderm made the commits.
        before: the first commit, `project/repo@<ID>`; None: the first run has no such step.
        after: the second commit; None: the second run has no such step.
        inputs: inputs for which different commits were read.
        code: differences of the component's name, digest and image, and of a large command's digest.
        command: a unified diff of the commands, line by line; empty: they are equal, or one is not known.
        parameters: parameters with different values.
        versions: differences of kfp, kfp-pachyderm, git commit and file, and uncommitted changes.
        files: output files that differ.
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
