"""What a step's inputs were made from, as lines of text for the page in the Kubeflow UI."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.views.wording import plain
from kfp_pachyderm.provenance.record import StepRecord
from kfp_pachyderm.provenance.stored_record import read

#: Levels and commits that Pachyderm is asked for, lines that the page shows, and seconds for the answer.
_DEPTH, _COMMITS, _LINES, _SECONDS = 8, 500, 40, 10.0

Facts = dict[Reference, CommitFacts]


def inputs_tree(pachd: Pachd, record: StepRecord) -> list[str]:
    """The output commit, below it each input, below each input the commits that it was made from.

    Where Pachyderm does not answer, the tree ends at the inputs, which are in the record.
    """
    facts: Facts = {}
    try:
        found = commit_facts.walk(pachd.patient(_SECONDS), record.output, down=False, depth=_DEPTH)
        # a pipeline that is created with its first job has a spec commit with that job's ID, too
        facts.update((one.commit, one) for one in islice(found, _COMMITS) if one.repo_type == "user")
    except PachydermError:
        pass  # the page alone must not fail the step
    lines = [f"{record.output}  {plain(record.task.task)}"]
    tree = _below(list(dict.fromkeys(record.inputs.values())), facts, set(), 1)
    lines.extend(islice(tree, _LINES))
    return [*lines, "…"] if next(tree, None) else lines


def _below(every: list[Reference], facts: Facts, shown: set[Reference], depth: int) -> Iterator[str]:
    for commit in every:
        known = facts.get(commit)
        again = commit in shown and bool(known and known.inputs)
        yield "  ".join(
            ["  " * depth + str(commit), *(["(shown above)"] if again else []), *_made_by(commit, known)]
        )
        if known and commit not in shown:
            shown.add(commit)
            yield from _below(list(known.inputs), facts, shown, depth + 1)


def _made_by(commit: Reference, known: CommitFacts | None) -> list[str]:
    if known is None:
        return []
    stored = read(commit, known.metadata)
    if stored is None:
        return ["a pipeline of others" if known.by_pipeline else "data"]
    return [plain(stored.record.task.task)]
