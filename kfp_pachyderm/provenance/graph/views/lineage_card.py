"""The card of a lineage: each commit below the one that was made from it, with `down` above it."""

from __future__ import annotations

from kfp_pachyderm.provenance.graph.model import Graph, Node, look
from kfp_pachyderm.provenance.graph.views.card import cell, escaped
from kfp_pachyderm.provenance.graph.views.text import walked
from kfp_pachyderm.provenance.graph.views.wording import SIGNS, duration, plain, size

#: The most rows that a card shows.
_ROWS = 40
_HEAD = "<tr><th>Made</th><th>State</th><th>Commit</th><th>Took</th><th>Size</th></tr>"


def lineage_card(lineage: Graph) -> str:
    """The card."""
    lines = list(walked(lineage))
    rows = "".join(_row(depth, node, again) for depth, node, again in lines[:_ROWS])
    left = f"<p>and {len(lines) - _ROWS} more lines: .text(), .html()</p>" if len(lines) > _ROWS else ""
    what = "What was made from" if lineage.down else "Lineage of"
    return f"<b>{escaped(f'{what} {lineage.of}')}</b><table>{_HEAD}{rows}</table>{left}"


def _row(depth: int, node: Node, again: bool) -> str:
    sign = SIGNS.get(look(node), "")
    took = duration(node.job.seconds) if node.job else ""
    title = (
        "\N{NO-BREAK SPACE}" * 3 * min(depth, 20) + sign + plain(node.title) + (" (above)" if again else "")
    )
    state = node.state if node.kind != "source" else "data"
    cells = (title, state, str(node.commit), took, size(node.size))
    return f"<tr>{''.join(map(cell, cells))}</tr>"
