"""`kfp-pachyderm lineage`: shows what a commit was made from, or what was made from it."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kfp_pachyderm.cli import connection, output

if TYPE_CHECKING:
    from kfp_pachyderm.pachd.connection.client import Pachd
    from kfp_pachyderm.provenance.graph.lineage import Lineage
    from kfp_pachyderm.provenance.graph.model import Node


@click.command()
@click.argument("x", metavar="X")
@connection.options
@click.option("--project", default="default", show_default=True, help="The project of X, if X names none.")
@click.option("--down", is_flag=True, help="What was made from it, instead of what it was made from.")
@click.option("--depth", type=click.IntRange(min=0), help="Most levels to show; else all.")
@click.option("--json", "form", flag_value="json", help="JSON (lineage.schema.json describes it).")
@click.option("--mermaid", "form", flag_value="mermaid", help="A Mermaid flowchart.")
@click.option("--html", "form", flag_value="html", help="One page that needs nothing else.")
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")
@output.file_option
def lineage(
    x: str,
    address: str | None,
    port_forward: bool,
    project: str,
    down: bool,
    depth: int | None,
    form: str | None,
    opens: bool,
    file: Path | None,
) -> None:
    """Show what X was made from, back to the data that users put into repos.

    X is a commit ([project/]repo@<ID> or repo@<branch>), a file in one (...@<ID>:/path), a job's ID or a KFP
    run's ID. The command asks Pachyderm only, not KFP.
    """
    from kfp_pachyderm.provenance.graph.assemble import of_target
    from kfp_pachyderm.provenance.graph.target import target

    form = "html" if opens else form
    with connection.opened(address, port_forward) as pachd:
        start = target(pachd, x, project)
        output.told(start.told)
        found = of_target(pachd, start, down, depth)
        text = _text(pachd, found, form, None if file else output.columns())
    if opens:
        file = file or Path(tempfile.mkdtemp(prefix="kfp-pachyderm-")) / "lineage.html"
    output.written(text, file)
    if opens and file:
        webbrowser.open(file.absolute().as_uri())


def _text(pachd: Pachd, found: Lineage, form: str | None, columns: int | None) -> str:
    from kfp_pachyderm.provenance.graph.views import as_json, mermaid, text

    if form == "html":
        from kfp_pachyderm.provenance.graph.model import with_files
        from kfp_pachyderm.provenance.graph.views.html import page
        from kfp_pachyderm.provenance.graph.views.pictures import contents

        return page(found, contents(pachd, with_files(found.nodes)))
    if form == "json":
        return as_json.text(found)
    if form == "mermaid":
        return mermaid.mermaid(found)
    lines = (output.coloured(line, _colour(node)) for line, node in text.tree(found, columns))
    return "\n".join(lines) + "\n"


def _colour(node: Node) -> str | None:
    from kfp_pachyderm.provenance.graph.views import text

    return text.CACHED_COLOUR if node.cached else text.COLOURS.get(node.state, text.OTHER_COLOUR)
