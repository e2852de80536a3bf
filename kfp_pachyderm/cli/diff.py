"""`kfp-pachyderm diff`: shows what changed from one commit, or one run, to another."""

from __future__ import annotations

import json
from pathlib import Path

import click

from kfp_pachyderm.cli import connection, output


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@connection.options
@click.option(
    "--project", default="default", show_default=True, help="The project of A and B, if they name none."
)
@click.option("--json", "form", flag_value="json", help="JSON instead of lines.")
@click.option("--html", "form", flag_value="html", help="One page that needs nothing else.")
@output.file_option
def diff(
    a: str,
    b: str,
    address: str | None,
    port_forward: bool,
    project: str,
    form: str | None,
    file: Path | None,
) -> None:
    """Show what changed from A to B: inputs, code, parameters, versions, files.

    A and B are commits ([project/]repo@<ID> or repo@<branch>), or the IDs of KFP runs, which are compared
    step by step.
    """
    from kfp_pachyderm.provenance import queries

    with connection.opened(address, port_forward) as pachd:
        found = queries.diff(a, b, project=project, client=pachd)
    if form == "json":
        text = json.dumps(found.as_json(), indent=2) + "\n"
    else:
        text = found.html() if form == "html" else found.text()
    output.written(text, file)
