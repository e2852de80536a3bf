"""`kfp-pachyderm gc`: lists and removes what dead runs have left."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from kfp_pachyderm.cli import connection, output

if TYPE_CHECKING:
    from kfp_pachyderm.gc.leftover import Leftover, Search
    from kfp_pachyderm.gc.remove import Removed

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TITLES = ("KIND", "NAME", "AGE", "SIZE", "ACTION", "WHY")


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Reads an age, a number with its unit, as seconds."""
    found = re.fullmatch(r"(\d+)([smhd])", value.strip())
    if not found:
        raise click.BadParameter(f"{value!r} is no age: write 7d, 12h, 30m or 0s", ctx, param)
    return float(int(found[1]) * _UNITS[found[2]])


@click.command()
@connection.options
@click.option("--project", help="The Pachyderm project; else all that can be seen.")
@click.option(
    "--older-than",
    callback=_seconds,
    default="7d",
    show_default=True,
    metavar="AGE",
    help="Only what nothing has used for this time: 7d, 12h, 30m, 0s.",
)
@click.option("--yes", is_flag=True, help="Remove what is found; else only list it.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def gc(
    address: str | None,
    port_forward: bool,
    project: str | None,
    older_than: float,
    yes: bool,
    as_json: bool,
) -> None:
    """List what dead runs left in Pachyderm and on this machine; remove it with --yes.

    It lists only what kfp-pachyderm made and nothing uses. Output commits stay, and so do the commits that
    they were made from.

    The exit code is 1 when something could not be examined or removed, else 0.
    """
    from kfp_pachyderm.authoring.spec import names
    from kfp_pachyderm.gc.leftover import Search

    if project:
        names.project(project)
    with connection.opened(address, port_forward) as pachd:
        search = Search(pachd, project, older_than)
        sys.exit(_remove(search, as_json) if yes else _list(search, as_json))


def _list(search: Search, as_json: bool) -> int:
    from kfp_pachyderm.gc.find import find

    found = find(search)
    output.told(search.told)
    if as_json:
        output.as_json({"leftovers": [one.json(search.now) for one in found], "warnings": search.told})
    elif found:
        output.table([_TITLES, *(_row(one, search.now) for one in found)])
        click.echo(f"{len(found)} found; nothing is changed: remove them by --yes", err=True)
    else:
        click.echo("nothing of dead runs", err=True)
    return int(bool(search.told))


def _row(one: Leftover, now: datetime) -> tuple[str, ...]:
    from kfp_pachyderm.provenance.graph.views.wording import size

    return one.kind, one.name, _age(one.age(now)), size(one.size), one.action, one.why


def _age(seconds: float) -> str:
    unit = next((name for name in reversed(_UNITS) if seconds >= _UNITS[name]), "s")
    return f"{seconds // _UNITS[unit]:.0f}{unit}"


def _remove(search: Search, as_json: bool) -> int:
    from kfp_pachyderm.gc.remove import remove

    told: list[str] = []
    done: list[Removed] = []
    for one in remove(search, told.append):
        done.append(one)
        if not as_json:
            click.echo(_line(one))
    output.told(told)
    if as_json:
        every = [_json(one) for one in done]
        output.as_json({"leftovers": every, "warnings": told})
    elif not done:
        click.echo("nothing of dead runs", err=True)
    return int(bool(told) or any(one.problem for one in done))


def _line(one: Removed) -> str:
    name = f"{one.leftover.kind} {one.leftover.name}"
    return f"{name}: not removed: {one.problem}" if one.problem else f"{name}: {_DONE[one.leftover.action]}"


_DONE = {"delete": "deleted", "stop": "stopped", "sleep": "asleep, its worker ends"}


def _json(one: Removed) -> dict[str, Any]:
    return {**one.leftover.json(datetime.now(UTC)), "removed": not one.problem, "problem": one.problem}
