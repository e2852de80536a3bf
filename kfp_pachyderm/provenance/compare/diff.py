"""What `diff` returns: the differences, step by step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from kfp_pachyderm.provenance.compare.html import page
from kfp_pachyderm.provenance.compare.model import StepDiff
from kfp_pachyderm.provenance.compare.text import lines


@dataclass(frozen=True)
class Diff:
    """What changed from one commit or KFP run to another.

    Args:
        before: the first commit, or the first run's ID.
        after: the second commit, or the second run's ID.
        steps: one entry for two commits; for two runs an entry for each execution of each task.
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
        return "".join(f"{line}\n" for line in lines(self.steps))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text())}</pre>"

    def html(self) -> str:
        """The same as one page that needs nothing else."""
        return page(self.before, self.after, self.steps)

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
