"""What commits were made from, by Pachyderm's provenance and by the steps' records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.node import recorded
from kfp_pachyderm.provenance.stored_record import Stored


class Links:
    """The inputs of commits.

    Args:
        seen: what Pachyderm says of each commit.
        stored: what their steps have written on them.

    Attributes:
        gathered: the commits that stand for several, as one input of a step (`pachd.claims.gathering`).
    """

    def __init__(
        self,
        seen: Mapping[Reference, CommitFacts | PachydermError],
        stored: Mapping[Reference, Stored | None],
    ) -> None:
        self._seen, self._stored = seen, stored
        self.gathered = {one for commit in seen for one in self._gathered_for(commit)}

    def inputs(self, commit: Reference) -> tuple[Reference, ...]:
        """What a commit was made from, also what Pachyderm has forgotten since its step wrote it down."""
        direct = self._direct(commit)
        behind = {one for gathered in direct if gathered in self.gathered for one in self._direct(gathered)}
        written = (one for one in recorded(self._stored[commit]) if one not in behind)
        return tuple(dict.fromkeys((*direct, *written)))

    def _direct(self, commit: Reference) -> tuple[Reference, ...]:
        found = self._seen.get(commit)
        return found.inputs if isinstance(found, CommitFacts) else ()

    def _gathered_for(self, commit: Reference) -> Iterator[Reference]:
        """Of a step's inputs those that its record does not name, but what they were made from."""
        written = set(recorded(self._stored[commit]))
        for one in self._direct(commit) if written else ():
            inside = self._direct(one)
            if one not in written and inside and written.issuperset(inside) and self._is_nobodys(one):
                yield one

    def _is_nobodys(self, commit: Reference) -> bool:
        found = self._seen[commit]
        return isinstance(found, CommitFacts) and not found.by_pipeline and self._stored[commit] is None
