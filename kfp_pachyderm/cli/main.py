"""`kfp-pachyderm`: the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from kfp_pachyderm.cli.diff import diff
from kfp_pachyderm.cli.doctor import doctor
from kfp_pachyderm.cli.gc import gc
from kfp_pachyderm.cli.history import files, get, jobs, runs
from kfp_pachyderm.cli.lineage import lineage
from kfp_pachyderm.cli.replay import replay
from kfp_pachyderm.cli.trigger import trigger
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
    """Make every Kubeflow Pipelines step an S3-enabled Pachyderm job."""


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
    # The server replaces this process, so that Ctrl-C and SIGTERM reach it directly.
    os.execv(sys.executable, [*command, "--port", str(port), *(["--auth"] if auth else [])])  # noqa: S606


for command in (diff, doctor, files, gc, get, jobs, lineage, replay, runs, trigger, verify):
    main.add_command(command)
