"""`kfp-pachyderm verify`: is a commit what its record says?"""

from __future__ import annotations

import json
import os
import sys

import click


@click.command()
@click.argument("commit")
@click.option(
    "--address", envvar="KFP_PACHYDERM_ADDRESS", default="grpc://127.0.0.1:30650", show_default=True
)
@click.option("--project", default="default", show_default=True, help="Where COMMIT names none.")
@click.option("--deep", is_flag=True, help="Look at all that it was made from, too.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of lines.")
def verify(commit: str, address: str, project: str, deep: bool, as_json: bool) -> None:
    """Say whether COMMIT (project/repo@<id> or repo@branch) is what its record says.

    Its inputs, its files and their hashes, its job, the record's digest. The exit code is 1 when anything is
    otherwise, else 0; what could not be looked at is said.
    """
    from kfp_pachyderm.pachyderm.address import from_environment
    from kfp_pachyderm.pachyderm.client import connect
    from kfp_pachyderm.pachyderm.references import parse
    from kfp_pachyderm.provenance.check.ancestry import verify as verified
    from kfp_pachyderm.provenance.check.text import lines

    with connect(from_environment(address, {**os.environ, "KFP_PACHYDERM_ADDRESS": address})) as pachd:
        found = verified(pachd, parse(commit, project), deep)
    click.echo(json.dumps(found.as_dict(), indent=2) if as_json else "\n".join(lines(found)))
    sys.exit(0 if found.ok else 1)
