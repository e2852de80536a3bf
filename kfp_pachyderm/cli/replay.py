"""`kfp-pachyderm replay`: runs a KFP run, or one step of it, again, and compares the outputs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kfp_pachyderm.cli import connection, output
from kfp_pachyderm.errors import PermanentError

if TYPE_CHECKING:
    from kfp_pachyderm.pachd.connection.client import Pachd
    from kfp_pachyderm.pachd.references import Reference
    from kfp_pachyderm.replay.model import Plan
    from kfp_pachyderm.replay.outcome import StepOutcome

#: The exit code when files differ; 1 means an error, 2 a wrong call of the command.
DIFFERS = 3


@click.command()
@click.argument("x", metavar="X")
@connection.options
@click.option("--project", default="default", show_default=True, help="The project of X, if X names none.")
@click.option("--run", "whole", is_flag=True, help="All steps of the run that made X, not that one alone.")
@click.option("--into", metavar="PROJECT", help="Project of the output; else <original's project>-replay.")
@click.option("--submit", is_flag=True, help="Run it by KFP's API, instead of here by kfp.local.")
@click.option("--host", metavar="URL", help="KFP's API; else where kfp.Client looks.")
@click.option("--namespace", help="The run's, with multi-user KFP.")
@click.option(
    "--parameters",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file: values of parameters that are not recorded.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan, as comments, and the compiled YAML.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON.")
def replay(
    x: str,
    address: str | None,
    port_forward: bool,
    project: str,
    whole: bool,
    into: str | None,
    submit: bool,
    host: str | None,
    namespace: str | None,
    parameters: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run the step or the KFP run that made X again, from its record alone, and compare the outputs by file.

    X is a commit ([project/]repo@<ID> or repo@<branch>) or a job's ID, for the one step that made it, or a
    KFP run's ID, for all steps of the run. Of a run, later steps read what the replay's earlier steps wrote.
    The command first lists what the record does not tell.

    The exit code is 0 when all files are identical, 3 when some differ, 1 when the replay failed or can't be
    made.
    """
    from kfp_pachyderm.replay.plan import Wanted, make_plan

    wanted = Wanted(x, project, whole, into, _parameters(parameters), submit)
    with connection.opened(address, port_forward) as pachd:
        plan = make_plan(pachd, wanted)
        for line in plan.lines():
            click.echo(f"# {line}" if dry_run else line, err=not dry_run)
        if plan.problems:
            raise PermanentError(f"{x} can't be replayed: {'; '.join(plan.problems)}")
        if dry_run:
            _dry_run(plan, submit)
            return
        made = _made(pachd, plan, (host, namespace) if submit else None, port_forward)
        outcomes = _compared(pachd, plan, made)
    _show(outcomes, as_json)
    sys.exit(0 if all(one.identical for one in outcomes) else DIFFERS)


def _parameters(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.BadParameter(f"{file} is no JSON: {error}", param_hint="--parameters") from error
    if not isinstance(found, dict):
        raise click.BadParameter(f'{file} must hold {{"name": value}}', param_hint="--parameters")
    return found


def _dry_run(plan: Plan, in_cluster: bool) -> None:
    from kfp_pachyderm.replay.pipeline import compiled, pipeline

    click.echo(compiled(pipeline(plan, in_cluster)), nl=False)


def _made(
    pachd: Pachd, plan: Plan, kfp: tuple[str | None, str | None] | None, port_forward: bool
) -> dict[Reference, Reference]:
    if kfp is None:
        from kfp_pachyderm.replay.here import run_here

        return run_here(plan, pachd.address, port_forward)
    from kfp_pachyderm.replay.submit import commits_of, submit, wait_for_run

    client, run = submit(plan, *kfp, _tell)
    wait_for_run(client, run, _tell)
    return commits_of(pachd, plan, run)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _compared(pachd: Pachd, plan: Plan, made: dict[Reference, Reference]) -> list[StepOutcome]:
    from kfp_pachyderm.replay.outcome import compare

    return [compare(pachd, step, made[step.original]) for step in plan.steps]


def _show(outcomes: list[StepOutcome], as_json: bool) -> None:
    same = all(one.identical for one in outcomes)
    if as_json:
        output.as_json({"version": 1, "identical": same, "steps": [one.as_json() for one in outcomes]})
        return
    for one in outcomes:
        for line in one.lines():
            click.echo(line)
    click.echo("identical" if same else "differs")
