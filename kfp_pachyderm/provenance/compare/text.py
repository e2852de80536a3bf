"""What `diff` found, as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kfp_pachyderm.provenance.compare.model import Change, FileChange, StepDiff
from kfp_pachyderm.provenance.graph.views.wording import plain, size

#: The most lines that are shown for the files of one commit, and for a command; `--json` has all of them.
SHOWN = 30
SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def lines(steps: Sequence[StepDiff]) -> Iterator[str]:
    """The differences, or a line that says that there are none."""
    for step in steps:
        yield from _step(step)
    if all(one.same for one in steps):
        yield "nothing differs" if not any(one.unseen for one in steps) else "nothing else differs"


def _step(step: StepDiff) -> Iterator[str]:
    name = f"{plain(step.task)}: " if step.task else ""
    if step.before is None or step.after is None:
        yield f"{name}only {'the second' if step.before is None else 'the first'} has it: " + str(
            step.after or step.before
        )
        return
    same = " (the same)" if step.before == step.after else ""
    yield f"{name}{step.before} -> {step.after}{same}"
    for one in step.inputs:
        sides = (plain(side or "none") for side in (one.before, one.after))
        yield f"  input {plain(one.name)}: {' -> '.join(sides)}"
        yield from (f"    {line}" for line in file_lines(one.files))
    yield from _changes("code", step.code)
    yield from _cut("command", step.command)
    yield from _changes("parameter", step.parameters)
    yield from _changes("version", step.versions)
    yield from (f"  file {line}" for line in file_lines(step.files))
    yield from (f"  not compared: {plain(text)}" for text in step.unseen)


def _changes(kind: str, changes: Iterable[Change]) -> Iterator[str]:
    for one in changes:
        sides = (plain(side) if side is not None else "none" for side in (one.before, one.after))
        yield f"  {kind} {plain(one.name)}: {' -> '.join(sides)}"


def _cut(kind: str, every: tuple[str, ...]) -> Iterator[str]:
    yield from (f"  {kind} {plain(line)}" for line in every[:SHOWN])
    if len(every) > SHOWN:
        yield f"  {kind} and {len(every) - SHOWN} lines more"


def file_lines(files: tuple[FileChange, ...]) -> Iterator[str]:
    """A line for each of the first `SHOWN` files; of more files a last line gives the numbers."""
    for one in files[:SHOWN]:
        yield f"{SIGNS[one.kind]} {plain(one.path)} ({sizes(one)})"
    if len(files) > SHOWN:
        counts = {kind: sum(1 for one in files if one.kind == kind) for kind in SIGNS}
        said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        yield f"… {len(files):,} in all: {said}"


def sizes(one: FileChange) -> str:
    """The sizes of a file, before and after."""
    if one.before is None or one.after is None:
        return size(one.before or one.after or 0)
    if one.before == one.after:
        return f"{size(one.before)}, other content"
    return f"{size(one.before)} -> {size(one.after)}"
