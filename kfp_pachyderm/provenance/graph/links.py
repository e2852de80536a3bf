"""The inputs of commits, from Pachyderm's provenance and from the steps' records."""

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
        seen: Pachyderm's answer on each commit.
        stored: the commits' records.

    Attributes:
        gathered: the commits that gather several commits for one input of a step (`pachd.claims.gathering`).
    """

    def __init__(
        self,
        seen: Mapping[Reference, CommitFacts | PachydermError],
        stored: Mapping[Reference, Stored | None],
    ) -> None:
        self._seen, self._stored = seen, stored
        self.gathered = {one for commit in seen for one in self._gathered_for(commit)}

    def inputs(self, commit: Reference) -> tuple[Reference, ...]:
        """The inputs of a commit, those included that its record names but Pachyderm has no longer."""
        direct = self._direct(commit)
        behind = {one for gathered in direct if gathered in self.gathered for one in self._direct(gathered)}
        written = (one for one in recorded(self._stored[commit]) if one not in behind)
        return tuple(dict.fromkeys((*direct, *written)))

    def _direct(self, commit: Reference) -> tuple[Reference, ...]:
        found = self._seen.get(commit)
        return found.inputs if isinstance(found, CommitFacts) else ()

    def _gathered_for(self, commit: Reference) -> Iterator[Reference]:
        """The gathered inputs of a step: its record names the commits inside them, not the inputs."""
        written = set(recorded(self._stored[commit]))
        for one in self._direct(commit) if written else ():
            inside = self._direct(one)
            if one not in written and inside and written.issuperset(inside) and self._is_nobodys(one):
                yield one

    def _is_nobodys(self, commit: Reference) -> bool:
        found = self._seen[commit]
        return isinstance(found, CommitFacts) and not found.by_pipeline and self._stored[commit] is None
