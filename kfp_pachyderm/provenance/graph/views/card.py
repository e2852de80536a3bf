"""Cards for notebooks: HTML tables without scripts, so that GitHub shows them, too."""

from __future__ import annotations

import html
from collections.abc import Iterable

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.pachd.connection.client import connect
from kfp_pachyderm.provenance.graph.model import Lineage, Node
from kfp_pachyderm.provenance.graph.views.mermaid import css_class
from kfp_pachyderm.provenance.graph.views.pictures import Contents, contents
from kfp_pachyderm.provenance.graph.views.text import walked
from kfp_pachyderm.provenance.graph.views.wording import duration, made_by, moment, parameters, plain, size
from kfp_pachyderm.provenance.history import Run

#: The most rows of a lineage, and files of a commit, that a card shows.
_ROWS, _FILES = 40, 8
_SIGNS = {"failed": "✗ ", "cached": "↺ ", "unknown": "? "}
#: Seconds for Pachyderm's answer: it may be gone when a notebook shows the card.
_TIMEOUT = 3.0


def node_card(node: Node) -> str:
    """The card of one commit: state, job, inputs, files and pictures."""
    content = _contents(node)
    job = f"{node.job.id}, {duration(node.job.seconds)}" if node.job else ""
    rows = [
        (
            "State",
            f"{_SIGNS.get(css_class(node), '')}{node.state}{', from an earlier run' if node.cached else ''}",
        ),
        ("Error", plain(node.error)),
        ("Made by", made_by(node)),
        ("Parameters", ", ".join(f"{name}={value}" for name, value in parameters(node))),
        ("Job", job),
        ("Commit", str(node.commit)),
        ("Inputs", "\n".join(map(str, node.inputs))),
        ("Size", size(node.size)),
        ("Files", _files(content)),
        ("Note", node.bare),
    ]
    return _card(node.title, rows) + _pictures(content)


def lineage_card(lineage: Lineage) -> str:
    """The card of a lineage: each commit below the one that was made from it, with `down` above it."""
    lines = list(walked(lineage))
    rows = "".join(_row(depth, node, again) for depth, node, again in lines[:_ROWS])
    left = f"<p>and {len(lines) - _ROWS} more lines: .text(), .html()</p>" if len(lines) > _ROWS else ""
    what = "What was made from" if lineage.down else "Lineage of"
    return f"<b>{_text(f'{what} {lineage.of}')}</b><table>{_HEAD}{rows}</table>{left}"


def run_card(run: Run) -> str:
    """The card of a KFP run."""
    rows = [
        ("State", run.state),
        ("KFP pipeline", run.pipeline),
        ("Began", moment(run.started)),
        ("Ended", moment(run.finished)),
        ("Commits", f"{run.commits} in {run.project}, {size(run.size)}"),
        ("Failed", str(run.failed or "")),
    ]
    return _card(f"KFP run {run.id}", rows)


_HEAD = "<tr><th>Made</th><th>State</th><th>Commit</th><th>Took</th><th>Size</th></tr>"


def _row(depth: int, node: Node, again: bool) -> str:
    sign = _SIGNS.get(css_class(node), "")
    took = duration(node.job.seconds) if node.job else ""
    title = (
        "\N{NO-BREAK SPACE}" * 3 * min(depth, 20) + sign + plain(node.title) + (" (above)" if again else "")
    )
    state = node.state if node.kind != "source" else "data"
    cells = (title, state, str(node.commit), took, size(node.size))
    return f"<tr>{''.join(map(_cell, cells))}</tr>"


def _cell(text: str) -> str:
    return f'<td style="text-align:left">{_text(text)}</td>'


def _card(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"<tr>{_cell(name)}{_cell(value)}</tr>" for name, value in rows if value)
    return f"<b>{_text(plain(title))}</b><table>{lines}</table>"


def _text(text: str) -> str:
    return html.escape(text).replace("\n", "<br>")


def _contents(node: Node) -> Contents:
    """The commit's files and pictures; where its Pachyderm does not answer any more, the reason."""
    if node.where is None:
        return Contents()
    try:
        with connect(node.where, _TIMEOUT, _TIMEOUT) as pachd:
            return contents(pachd, [node]).get(node.commit, Contents())
    except PachydermError as error:
        return Contents(more=f"the files can't be listed now: {error}")


def _files(content: Contents) -> str:
    shown = [f"{plain(one.path)} ({size(one.size)})" for one in content.files[:_FILES]]
    more = "…" if len(content.files) > _FILES else ""
    return "\n".join(filter(None, [*shown, more, content.more]))


def _pictures(content: Contents) -> str:
    return "".join(
        f'<img src="{data}" alt="{html.escape(plain(path))}" title="{html.escape(plain(path))}" '
        'style="max-width:200px; max-height:150px; margin:4px; display:inline">'
        for path, data in content.pictures
    )
