"""`kfp-pachyderm trigger`: starts a KFP run for each new commit of a branch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfp_pachyderm.cli import connection
from kfp_pachyderm.ending import Ending
from kfp_pachyderm.errors import KfpApiError, SpecError

if TYPE_CHECKING:
    from kfp_pachyderm.pachd.references import Reference
    from kfp_pachyderm.trigger.runs import Runs

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@click.command()
@click.argument("branch", metavar="REPO@BRANCH")
@connection.options
@click.option(
    "--project", default="default", show_default=True, help="The project of REPO, if it names none."
)
@click.option("--package", type=click.Path(path_type=Path), help="The compiled pipeline, a YAML file.")
@click.option("--pipeline", help="The name of a pipeline that KFP has, instead of --package.")
@click.option("--version", help="The name of its version; else the newest at each start.")
@click.option(
    "--parameter", help="The pipeline's parameter for the commit; else the one with the repo's name."
)
@click.option("-p", "arguments", metavar="NAME=VALUE", multiple=True, help="Another argument; several times.")
@click.option("--name", help="The trigger's name; else <pipeline>.<repo>.<branch>.")
@click.option(
    "--from", "start", metavar="COMMIT", help="The first commit that starts a run; else the next one."
)
@click.option("--latest", is_flag=True, help="Of several new commits only the newest starts a run.")
@click.option(
    "--experiment", default="Default", show_default=True, help="KFP's experiment; made when missing."
)
@click.option("--service-account", help="The Kubernetes service account of the runs' pods.")
@click.option("--kfp", "host", help="KFP's address; else as kfp.Client finds it (KF_PIPELINES_ENDPOINT).")
@click.option(
    "--kfp-namespace", "namespace", help="Your namespace in a multi-user KFP; else as kfp.Client finds it."
)
def trigger(
    branch: str,
    address: str | None,
    port_forward: bool,
    project: str,
    package: Path | None,
    pipeline: str | None,
    version: str | None,
    parameter: str | None,
    arguments: tuple[str, ...],
    name: str | None,
    start: str | None,
    latest: bool,
    **kfp: Any,
) -> None:
    """Start one KFP run for each new commit of a branch, until SIGTERM or Ctrl-C.

    The run gets the commit as an argument: project/repo@<ID>. The trigger writes each run that it starts into
    the commit's metadata in Pachyderm. So any number of triggers of one name may run, stop and be killed at
    any time.
    """
    from kfp_pachyderm.pachd.references import parse
    from kfp_pachyderm.trigger.runs import Runs

    followed = parse(branch, project)
    first = parse(start if "@" in start else f"{followed.repo}@{start}", followed.project) if start else None
    _check(followed, first, package, pipeline, version)
    given = dict(_pair(one) for one in arguments)
    runs = Runs(package, pipeline or "", version, parameter or followed.repo, given, **kfp)
    with connection.opened(address, port_forward) as pachd:
        _follow(pachd, runs, followed, first, name, latest)


def _follow(
    pachd: Any, runs: Runs, branch: Reference, first: Reference | None, name: str | None, latest: bool
) -> None:
    from kfp_pachyderm.trigger.follow import Follower
    from kfp_pachyderm.trigger.register import registered
    from kfp_pachyderm.trigger.start import Starter

    name = _name(name, runs, branch)
    try:
        runs.check()
    except KfpApiError as error:
        # The trigger registers all the same: commits from now on count as new.
        _tell(f"{error}; looking again when there is something to start")
    beginning = registered(pachd, name, branch, first, _tell)
    with Ending(second_kills=True) as stop:
        _tell(f"trigger {name} follows {branch}")
        starter = Starter(pachd, runs, name, _tell)
        Follower(pachd, branch, beginning, starter, latest, _tell).follow(stop)
    _tell("stopped")


def _check(
    branch: Reference,
    first: Reference | None,
    package: Path | None,
    pipeline: str | None,
    version: str | None,
) -> None:
    if branch.is_commit:
        raise SpecError(f"{branch} is a commit: name a branch, repo@branch")
    if first and (not first.is_commit or (first.project, first.repo) != (branch.project, branch.repo)):
        raise SpecError(f"--from {first}: name a commit of {branch.project}/{branch.repo} by its ID")
    if (package is None) == (pipeline is None):
        raise SpecError("name what to run: --package FILE, or --pipeline NAME of one that KFP has")
    if version and package:
        raise SpecError("--version is of a --pipeline that KFP has")


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found or not name:
        raise SpecError(f"-p {text}: write NAME=VALUE")
    return name, value


def _name(given: str | None, runs: Runs, branch: Reference) -> str:
    from kfp_pachyderm.trigger.pipeline import of_package

    if given is None:
        of = of_package(runs.package).name if runs.package else runs.pipeline
        given = re.sub(r"[^A-Za-z0-9._-]", "-", f"{of}.{branch.repo}.{branch.version}")[:100]
    if not _NAME.fullmatch(given):
        raise SpecError(f"--name {given!r}: letters, digits, '.', '_' and '-' make a name, 100 at most")
    return given


def _tell(line: str) -> None:
    click.echo(f"[kfp-pachyderm] {line}")
