"""`kfp-pachyderm doctor`: checks whether steps will work from here, and says how to repair what is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from kfp_pachyderm.cli import connection
from kfp_pachyderm.errors import PachydermError

if TYPE_CHECKING:
    from kfp_pachyderm.doctor.finding import Finding
    from kfp_pachyderm.pachd.references import Reference


@click.command()
@connection.options
@click.option("--project", default="default", show_default=True, help="The Pachyderm project of the steps.")
@click.option("--repo", "repos", multiple=True, help="A repo that steps read, [project/]repo; several times.")
@click.option("--run", is_flag=True, help="Make one tiny job in a project of its own, and remove it.")
@click.option("--timeout", default=180.0, show_default=True, help="Seconds for the job of --run.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of lines.")
def doctor(
    address: str | None,
    project: str,
    repos: tuple[str, ...],
    port_forward: bool,
    run: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Say whether steps will work from here: a line for each check, and how to repair what is wrong.

    The token is taken from KFP_PACHYDERM_TOKEN, or from the mounted default. The exit code is 1 when a check
    says ERROR, else 0.
    """
    from kfp_pachyderm.authoring.spec import names
    from kfp_pachyderm.doctor import report
    from kfp_pachyderm.pachd.references import parse

    names.project(project)
    read = tuple(parse(f"{one}@master", project) for one in repos)
    findings = []
    with ExitStack() as stack:
        for finding in _every(address, port_forward, project, read, timeout if run else 0.0, stack):
            findings.append(finding)
            if not as_json:
                click.echo(report.line(finding))
    if as_json:
        click.echo(report.as_json(findings))
    sys.exit(int(report.worst(findings) == "error"))


def _every(
    address: str | None,
    port_forward: bool,
    project: str,
    repos: tuple[Reference, ...],
    run: float,
    stack: ExitStack,
) -> Iterator[Finding]:
    from kfp_pachyderm.doctor import report
    from kfp_pachyderm.local import real_pachyderm

    try:
        found = connection.find(address, port_forward, stack)
    except PachydermError as problem:
        yield from report.no_way(problem)
        return
    env = {**os.environ, **real_pachyderm.variables(found.where, os.environ)}
    yield from report.examine(found.where, found.source, env, project, repos, run)
