"""`kfp-pachyderm verify`: checks whether a commit is what its record says."""

from __future__ import annotations

import sys

import click

from kfp_pachyderm.cli import connection, output


@click.command()
@click.argument("x", metavar="X")
@connection.options
@click.option("--project", default="default", show_default=True, help="The project of X, if X names none.")
@click.option("--deep", is_flag=True, help="Check also all commits that X was made from.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of lines.")
def verify(x: str, address: str | None, port_forward: bool, project: str, deep: bool, as_json: bool) -> None:
    """Check whether X is what its record says: inputs, files and their hashes, job, the record's digest.

    X is a commit ([project/]repo@<ID> or repo@<branch>), or the ID of a job or KFP run, for all of its
    commits. The exit code is 1 when something differs, else 0. The command lists what it could not examine.
    """
    from kfp_pachyderm.provenance import queries

    with connection.opened(address, port_forward) as pachd:
        found = queries.verify(x, deep=deep, project=project, client=pachd)
    if as_json:
        output.as_json(found.as_json())
    else:
        click.echo(found.text(), nl=False)
    sys.exit(0 if found.ok else 1)
