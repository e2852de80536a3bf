"""A lineage as a tree of text: each commit below the one that was made from it, with `down` above it."""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.pachd.references import KEYS, Reference
from kfp_pachyderm.provenance.graph.model import Graph, Node
from kfp_pachyderm.provenance.graph.views.wording import duration, fitted, made_by, plain, size, width

#: Colours of states, as `click.style` names them; of cached commits; of all other states.
COLOURS = {"SUCCESS": "green", "FINISHED": "green", "FAILURE": "red", "KILLED": "red", "UNRUNNABLE": "red"}
CACHED_COLOUR, OTHER_COLOUR = "cyan", "yellow"
#: Digits of an ID where there is no room for all 32.
_SHORT = 12


def tree(lineage: Graph, columns: int | None = None) -> Iterator[tuple[str, Node]]:
    """The lines of the tree, the roots leftmost.

    Args:
        lineage: the lineage.
        columns: width of the terminal; None: lines are not shortened.

    Yields:
        A line and its node. A commit has a line for each commit that it is shown under, and the commits below
        it are shown only once.
    """
    for depth, node, again in walked(lineage):
        yield _line(depth, node, again, lineage, columns), node


def walked(lineage: Graph) -> Iterator[tuple[int, Node, bool]]:
    """Depth, node, and whether the commits below it were shown before; depth first.

    It does not recurse: lineages may be deeper than Python's stack.
    """
    beneath = _beneath(lineage)
    shown = set[Reference]()
    inner = {one for every in beneath.values() for one in every}
    tops = [one for one in lineage.roots if one not in inner]
    waiting = [(0, one) for one in reversed(tops)]
    while waiting:
        depth, commit = waiting.pop()
        again = commit in shown and bool(beneath.get(commit))
        yield depth, lineage.by_commit[commit], again
        if commit in shown:
            continue
        shown.add(commit)
        waiting.extend((depth + 1, one) for one in reversed(beneath.get(commit, ())))


def _beneath(lineage: Graph) -> dict[Reference, tuple[Reference, ...]]:
    if lineage.down:
        return lineage.below
    known = lineage.by_commit
    return {node.commit: tuple(one for one in node.inputs if one in known) for node in lineage.nodes}


def _line(depth: int, node: Node, again: bool, lineage: Graph, columns: int | None) -> str:
    file = f":{plain(lineage.file)}" if lineage.file and node.commit in lineage.roots else ""
    name = f"{node.commit}{file}"
    facts = _facts(node, again, lineage.down)
    if columns is None:
        return "  ".join(["  " * depth + name, *facts])
    room = max(columns // 3, 2)
    indent = "  " * depth if 2 * depth <= room else fitted(f"[{depth}] ", room).rjust(room)
    if width(indent + name) > columns:
        name = f"{node.commit.project}/{node.commit.repo}@{node.commit.version[:_SHORT]}{file}"
    return fitted("  ".join([indent + name, *facts]), columns)


def _facts(node: Node, again: bool, down: bool) -> list[str]:
    encoding = node.metadata.get(KEYS)
    times = duration(node.job.seconds) if node.job else ""
    every = [
        f"({'shown' if down else 'inputs'} above)" if again else "",
        f"(keys are {plain(encoding)}-encoded)" if encoding else "",
        "cached" if node.cached else "",
        node.state if node.kind in ("step", "pipeline") or node.failed else "",
        made_by(node.kind, node.record),
        times,
        size(node.size),
        plain(node.error),
        node.bare,
    ]
    return [one for one in every if one]
