"""Compares two commits, or two runs task by task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.compare.diff import Diff
from kfp_pachyderm.provenance.compare.model import StepDiff
from kfp_pachyderm.provenance.compare.recorded_commit import Made, made
from kfp_pachyderm.provenance.compare.step import Comparison
from kfp_pachyderm.provenance.stored_record import hashed


def of_commits(pachd: Pachd, before: Reference, after: Reference) -> Diff:
    """What changed from one commit to the other.

    Raises:
        NotFoundError: one of them is not there.
        PachydermError: Pachyderm does not answer.
    """
    old, new = made(pachd, before), made(pachd, after)
    step = Comparison(pachd).step(old, new)
    return Diff(str(old.commit), str(new.commit), (step,))


def of_runs(
    pachd: Pachd, names: tuple[str, str], before: Iterable[Reference], after: Iterable[Reference]
) -> Diff:
    """What changed from one run to the other.

    A task in a loop has several executions: each is compared with the execution of the other run that has
    the most parameters and inputs in common. Failed attempts do not count, unless no attempt succeeded: then
    the last one counts.

    Args:
        pachd: the connection.
        names: the runs' IDs.
        before: the commits of the first run, oldest first.
        after: the commits of the second one.
    """
    comparison = Comparison(pachd)
    old, new = (_by_task(made(pachd, one) for one in every) for every in (before, after))
    steps = list[StepDiff]()
    for task in dict.fromkeys([*old, *new]):
        for left, right in _pairs(old.get(task, []), new.get(task, [])):
            steps.append(_compared(comparison, task, left, right))
    return Diff(*names, tuple(steps))


def _compared(comparison: Comparison, task: str, left: Made | None, right: Made | None) -> StepDiff:
    if left and right:
        return comparison.step(left, right)
    return StepDiff(task, str(left.commit) if left else None, str(right.commit) if right else None)


def _by_task(every: Iterable[Made]) -> dict[str, list[Made]]:
    found: dict[str, list[Made]] = {}
    for one in every:
        found.setdefault(one.task or str(one.commit.repo), []).append(one)
    return {task: _good(steps) for task, steps in found.items()}


def _good(steps: list[Made]) -> list[Made]:
    return [one for one in steps if one.record and one.record.state == "SUCCESS"] or steps[-1:]


def _pairs(before: list[Made], after: list[Made]) -> Iterator[tuple[Made | None, Made | None]]:
    """Pairs the commits that have most in common; a commit without a partner is paired with None."""
    left, right = list(before), list(after)
    ranked = sorted(
        ((_common(a, b), -i, -j) for i, a in enumerate(before) for j, b in enumerate(after)), reverse=True
    )
    pairs: dict[int, int] = {}
    for _, i, j in ranked:
        if -i not in pairs and -j not in pairs.values():
            pairs[-i] = -j
    for i, one in enumerate(left):
        yield one, right[pairs[i]] if i in pairs else None
    yield from ((None, one) for j, one in enumerate(right) if j not in pairs.values())


def _common(left: Made, right: Made) -> int:
    """The number of parameters and inputs that are equal."""
    return len(_facts(left) & _facts(right))


def _facts(one: Made) -> set[tuple[str, str]]:
    given = one.record.code.parameters if one.record else {}
    return {
        *((name, hashed(value).digest) for name, value in given.items()),
        *((name, str(commit)) for name, commit in one.inputs.items()),
    }
