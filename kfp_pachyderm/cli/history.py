"""`kfp-pachyderm runs`, `jobs`, `files` and `get`: list runs, steps and files, and get a file."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from kfp_pachyderm.cli import connection, output
from kfp_pachyderm.errors import CommitReferenceError, NotFoundError

if TYPE_CHECKING:
    from kfp_pachyderm.provenance.graph.model import Node
    from kfp_pachyderm.provenance.history import Run

_json = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
_COLOURS = {"FAILURE": "red", "KILLED": "red", "UNRUNNABLE": "red", "RUNNING": "yellow", "OPEN": "yellow"}


@click.command()
@connection.options
@click.option("--project", default="default", show_default=True, help="The Pachyderm project.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Most runs to list.")
@_json
def runs(address: str | None, port_forward: bool, project: str, limit: int, as_json: bool) -> None:
    """List the KFP runs that left commits in a project, newest first.

    A run whose steps all came from KFP's cache left no commit.
    """
    from kfp_pachyderm.provenance import history

    with connection.opened(address, port_forward) as pachd:
        found, told = history.runs(pachd, project, limit)
    output.told(told)
    if as_json:
        output.as_json([history.as_json(run) for run in found])
        return
    output.table([_RUN, *map(_run, found)], [_COLOURS.get(run.state) for run in found])


_RUN = ("STARTED", "STATE", "PIPELINE", "STEPS", "SIZE", "RUN")


def _run(run: Run) -> tuple[str, ...]:
    from kfp_pachyderm.provenance.graph.views.wording import moment, size

    return moment(run.started), run.state, run.pipeline, str(run.commits), size(run.size), run.id


@click.command()
@click.argument("run", metavar="RUN")
@connection.options
@click.option("--project", help="Look in this Pachyderm project only; else in all.")
@_json
def jobs(run: str, address: str | None, port_forward: bool, project: str | None, as_json: bool) -> None:
    """List the steps of a KFP run, in the order in which they began."""
    from kfp_pachyderm.provenance import history
    from kfp_pachyderm.provenance.graph.assemble import nodes
    from kfp_pachyderm.provenance.graph.views import as_json as json_form

    with connection.opened(address, port_forward) as pachd:
        facts, told = history.of_run(pachd, run, project)
        output.told(told)
        if not facts:
            raise NotFoundError(
                f"no commit says that KFP run {run!r} made it; see the runs: kfp-pachyderm runs --project "
                f"{project or 'PROJECT'}"
            )
        found = nodes(pachd, dict(reversed(facts.items())))
    if as_json:
        output.as_json([json_form.node(one) for one in found])
        return
    output.table([_JOB, *map(_job, found)], [_COLOURS.get(one.state) for one in found])


_JOB = ("STARTED", "STATE", "TASK", "TOOK", "SIZE", "COMMIT")


def _job(node: Node) -> tuple[str, ...]:
    from kfp_pachyderm.provenance.graph.views.wording import duration, moment, size

    took = duration(node.job.seconds) if node.job else ""
    return moment(node.created), node.state, node.title, took, size(node.size), str(node.commit)


@click.command()
@click.argument("commit", metavar="REF")
@connection.options
@click.option("--project", default="default", show_default=True, help="The project of REF, if it names none.")
@_json
def files(commit: str, address: str | None, port_forward: bool, project: str, as_json: bool) -> None:
    """List the files of a commit, or of a folder in it: REF is repo@<ID or branch>[:/folder]."""
    from kfp_pachyderm.pachd.commits.files import walk
    from kfp_pachyderm.provenance.graph.target import commit_and_path, pinned
    from kfp_pachyderm.provenance.graph.views.wording import size

    wanted, path = commit_and_path(commit, project)
    with connection.opened(address, port_forward) as pachd:
        found = list(walk(pachd, pinned(pachd, wanted).commit, path or "/"))
    if as_json:
        output.as_json([{"path": one.path, "size_bytes": one.size, "hash": one.hash} for one in found])
        return
    output.table([("SIZE", "FILE"), *((size(one.size), one.path) for one in found)])


@click.command()
@click.argument("file", metavar="REF:/PATH")
@connection.options
@click.option("--project", default="default", show_default=True, help="The project of REF, if it names none.")
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), help="File or folder; -: standard output."
)
def get(file: str, address: str | None, port_forward: bool, project: str, target: Path | None) -> None:
    """Get a file of a commit, by default into the current folder and under its own name."""
    from kfp_pachyderm.pachd.commits import files
    from kfp_pachyderm.provenance.graph.target import commit_and_path, pinned

    wanted, path = commit_and_path(file, project)
    if not path:
        raise CommitReferenceError(
            f"{file!r} names no file: write {file}:/path; see kfp-pachyderm files {file}"
        )
    with connection.opened(address, port_forward) as pachd:
        commit = pinned(pachd, wanted).commit
        found = files.inspect(pachd, commit, path)
        if target and str(target) == "-":
            sys.stdout.buffer.writelines(files.read(pachd, commit, path))
            return
        target = target or Path(PurePosixPath(found.path).name)
        target = target / PurePosixPath(found.path).name if target.is_dir() else target
        files.save(pachd, commit, found, target)
    click.echo(target)
