"""A lineage as a tree of text: every commit under the one that it went into."""

from __future__ import annotations

from collections.abc import Iterator

from kfp_pachyderm.pachyderm.lineage import Origin
from kfp_pachyderm.pachyderm.references import KEYS, Reference


def tree(origins: list[Origin]) -> list[str]:
    """The lines of the tree, the first origin at its root.

    Args:
        origins: what `lineage` found, nearest first.

    Returns:
        One line per commit and use; what stands behind a commit is shown once.
    """
    by_commit = {origin.commit: origin for origin in origins}
    return list(_branch(origins[0].commit, by_commit, set(), ""))


def _branch(
    commit: Reference, origins: dict[Reference, Origin], shown: set[Reference], indent: str
) -> Iterator[str]:
    inputs = origins[commit].inputs
    encoding = origins[commit].metadata.get(KEYS)
    encoded = f"  (keys are {encoding}-encoded)" if encoding else ""
    again = "  (inputs above)" if inputs and commit in shown else ""
    yield f"{indent}{commit}{encoded}{again}"
    if commit in shown:
        return
    shown.add(commit)
    for one in inputs:
        yield from _branch(one, origins, shown, indent + "  ")
