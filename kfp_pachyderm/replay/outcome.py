"""Compares the outputs of a replay with the original's, file by file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from kfp_pachyderm.pachd.commits import files as content
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.commit_files import files_of
from kfp_pachyderm.provenance.compare.model import FileChange
from kfp_pachyderm.provenance.compare.step import differences
from kfp_pachyderm.provenance.compare.text import file_lines
from kfp_pachyderm.replay.model import ReplayStep

#: Seconds within which the files of one commit must be listed.
_WALK = 600.0


@dataclass(frozen=True)
class StepOutcome:
    """The comparison of one step's output commits.

    Args:
        task: the name of the KFP task.
        original: the original's output commit, `project/repo@<ID>`.
        replay: the replay's output commit.
        files: the number of files in the original's commit.
        changes: the files that differ.
        first: path of a file whose size did not change → offset of the first byte that differs, from 0.
    """

    task: str
    original: str
    replay: str
    files: int
    changes: tuple[FileChange, ...]
    first: dict[str, int]

    @property
    def identical(self) -> bool:
        """Whether no file differs."""
        return not self.changes

    def lines(self) -> Iterator[str]:
        """Yields the comparison as lines for people."""
        said = f"identical ({self.files} files)" if self.identical else "differs"
        yield f"{self.task}: {said}: {self.original} -> {self.replay}"
        yield from (f"  file {line}" for line in file_lines(self.changes))
        yield from (f"  {path}: from byte {at} on" for path, at in self.first.items())
        if not self.identical:
            yield f"  see more: kfp-pachyderm diff {self.original} {self.replay}"

    def as_json(self) -> dict[str, Any]:
        """Returns the comparison as dicts, lists, strings and numbers."""
        return {**asdict(self), "identical": self.identical}


def compare(pachd: Pachd, step: ReplayStep, replay: Reference) -> StepOutcome:
    """Compares all files by Pachyderm's hashes, and by content where hashes differ and sizes do not.

    Raises:
        PachydermError: one of the commits can't be read.
    """
    old, new = (
        {one.path: one for one in files_of(pachd, commit, _WALK)} for commit in (step.original, replay)
    )
    changes, first = list[FileChange](), dict[str, int]()
    for one in differences(old, new):
        if one.kind == "changed" and one.before == one.after:
            at = _first(*(content.read(pachd, commit, one.path) for commit in (step.original, replay)))
            if at is None:
                continue  # Pachyderm's hash differs also if the same bytes are cut into other chunks.
            first[one.path] = at
        changes.append(one)
    return StepOutcome(step.task, str(step.original), str(replay), len(old), tuple(changes), first)


def _first(one: Iterable[bytes], other: Iterable[bytes]) -> int | None:
    """Returns the offset at which two contents of one size differ first; None: they are equal."""
    left, right, at = iter(one), iter(other), 0
    mine, its = b"", b""
    while True:
        mine, its = mine or next(left, b""), its or next(right, b"")
        size = min(len(mine), len(its))
        if not size:
            return None
        if mine[:size] != its[:size]:
            return at + next(n for n in range(size) if mine[n] != its[n])
        mine, its, at = mine[size:], its[size:], at + size
