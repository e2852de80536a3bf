"""The command line: `dev` runs the embedded Pachyderm, `lineage` shows origins, `doctor` helps."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from kfp_pachyderm.cli.doctor import doctor
from kfp_pachyderm.cli.verify import verify
from kfp_pachyderm.errors import PachydermError


class _Group(click.Group):
    """Shows this package's errors as one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PachydermError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
@click.version_option(package_name="kfp-pachyderm")
def main() -> None:
    """Every Kubeflow Pipelines step an S3-enabled Pachyderm job."""


@main.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=".pachyderm",
    show_default=True,
    help="The folder that everything is kept in; made when missing.",
)
@click.option("--port", default=30650, show_default=True, help="0: any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: all addresses.")
@click.option("--auth", is_flag=True, help="Turn auth on; the root token is in the data folder.")
def dev(data: Path, port: int, host: str, auth: bool) -> None:
    """Run the embedded Pachyderm in the foreground until Ctrl-C."""
    command = [sys.executable, "-m", "kfp_pachyderm.embedded", "dev", "--data-dir", str(data), "--host", host]
    # The server is a program of its own; becoming it leaves one process, and its signals.
    os.execv(sys.executable, [*command, "--port", str(port), *(["--auth"] if auth else [])])  # noqa: S606


main.add_command(doctor)
main.add_command(verify)


@main.command()
@click.argument("commit")
@click.option(
    "--address", envvar="KFP_PACHYDERM_ADDRESS", default="grpc://127.0.0.1:30650", show_default=True
)
@click.option("--project", default="default", show_default=True, help="Where COMMIT names none.")
def lineage(commit: str, address: str, project: str) -> None:
    """Show the commits that COMMIT (project/repo@<id> or repo@branch) was made from."""
    # grpc is imported by the commands that need it only: `--help` stays quick.
    from kfp_pachyderm.cli.tree import tree
    from kfp_pachyderm.pachyderm.address import from_environment
    from kfp_pachyderm.pachyderm.client import connect
    from kfp_pachyderm.pachyderm.lineage import lineage as behind
    from kfp_pachyderm.pachyderm.references import parse

    with connect(from_environment(address, {**os.environ, "KFP_PACHYDERM_ADDRESS": address})) as pachd:
        for line in tree(behind(pachd, parse(commit, project))):
            click.echo(line)
