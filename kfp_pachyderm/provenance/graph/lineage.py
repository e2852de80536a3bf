"""What `lineage` returns: a graph with its views."""

from __future__ import annotations

from typing import Any

from kfp_pachyderm.provenance.graph.model import Graph


# It adds no field. A dataclass of its own would have an `__init__` whose types have no names in this module.
class Lineage(Graph):
    """What a commit was made from, or with `down` what was made from it.

    Args:
        of: the text that was asked for.
        roots: the commits that the text names: one, or all that a run or a job has made.
        down: whether the graph leads to what was made from the roots, instead of to what they were made from.
        nodes: each commit once, nearest to the roots first.
        file: the path of the file that was asked for; "": no file was.
        run: the ID of the KFP run that was asked for; "": no run was.
    """

    def text(self) -> str:
        """A tree of text: a commit has a line for each commit that it is shown under."""
        from kfp_pachyderm.provenance.graph.views.text import tree

        return "".join(f"{line}\n" for line, _ in tree(self))

    def as_json(self) -> dict[str, Any]:
        """Dicts, lists, texts and numbers, ready for `json.dumps`; `lineage.schema.json` describes them."""
        from kfp_pachyderm.provenance.graph.views.as_json import as_json

        return as_json(self)

    def mermaid(self) -> str:
        """A Mermaid flowchart."""
        from kfp_pachyderm.provenance.graph.views.mermaid import mermaid

        return mermaid(self)

    def html(self) -> str:
        """One HTML page that loads nothing; it lists no files: `kfp-pachyderm lineage --html` does."""
        from kfp_pachyderm.provenance.graph.views.html import page

        return page(self)

    def _repr_html_(self) -> str:
        """A card for notebooks."""
        from kfp_pachyderm.provenance.graph.views.lineage_card import lineage_card

        return lineage_card(self)
