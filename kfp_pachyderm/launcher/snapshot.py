"""The first step of a run: every branch resolved once, so that all steps of the run see the same data."""

from __future__ import annotations

import time

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.launcher.ahead import make_pipelines
from kfp_pachyderm.launcher.config import SnapshotConfig
from kfp_pachyderm.launcher.execution import Execution
from kfp_pachyderm.launcher.say import announce, say
from kfp_pachyderm.launcher.step import DEFAULT_TIMEOUT
from kfp_pachyderm.pachyderm import address
from kfp_pachyderm.pachyderm.client import CONNECT_TIMEOUT, Pachd, connect
from kfp_pachyderm.pachyderm.references import Reference, left_open, parse, resolve


def run_snapshot(config: SnapshotConfig, execution: Execution) -> None:
    """Writes `project/repo@<commit id>` to every output parameter, or fails before it wrote any.

    Raises:
        PachydermError: a reference can't be resolved that a step reads which is sure to run.
    """
    timeout = config.timeout or DEFAULT_TIMEOUT
    deadline = time.monotonic() + timeout
    try:
        with connect(address.from_environment(config.address), min(timeout, CONNECT_TIMEOUT)) as pachd:
            found = {name: _found(pachd, config, execution, name, deadline) for name in config.references}
            _write(execution, found)
            make_pipelines(pachd, config, execution.identity.pipeline, found)
    except PachydermError as error:
        if set(config.references) > set(config.optional):
            raise
        _write(
            execution,
            {name: _left_open(config, execution, name, error) for name in config.references},
        )


def _found(pachd: Pachd, config: SnapshotConfig, execution: Execution, name: str, deadline: float) -> str:
    if name not in config.optional:
        return str(resolve(pachd, _reference(config, execution, name), deadline, say))
    try:
        # Nor is an open commit waited for: whoever reads it may never run.
        return str(resolve(pachd, _reference(config, execution, name), time.monotonic(), say))
    except PachydermError as error:
        return _left_open(config, execution, name, error)


def _reference(config: SnapshotConfig, execution: Execution, name: str) -> Reference:
    """The run's parameter of that name if it says something, else the branch that authoring wrote."""
    written = config.references[name]
    usual = parse(written, config.project) if written else None
    given = execution.parameter(name)
    if usual and not given:
        return usual
    return parse(given, usual.project if usual else config.project)


def _left_open(config: SnapshotConfig, execution: Execution, name: str, error: PachydermError) -> str:
    say(f"{type(error).__name__}: {error}; left to the steps that read it, should they run")
    return left_open(execution.parameter(name) or config.references[name])


def _write(execution: Execution, found: dict[str, str]) -> None:
    for name, commit in found.items():
        announce(f"snapshot {name}={commit}")
        file = execution.parameter_file(name)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(commit)
