"""The first step of a run: resolves every branch once, so that all steps of the run see the same data."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.launcher.config import SnapshotConfig
from kfp_pachyderm.launcher.executor_input import Execution
from kfp_pachyderm.launcher.lifecycle import DEFAULT_TIMEOUT
from kfp_pachyderm.launcher.resolve.inputs import checked
from kfp_pachyderm.launcher.snapshot.early_pipelines import make_pipelines
from kfp_pachyderm.launcher.step_log import announce, say
from kfp_pachyderm.pachd.connection import address
from kfp_pachyderm.pachd.connection.client import CONNECT_TIMEOUT, Pachd, connect
from kfp_pachyderm.pachd.references import Reference, left_open, parse, resolve


def run_snapshot(config: SnapshotConfig, execution: Execution) -> None:
    """Writes `project/repo@<commit id>` to every output parameter, or fails before it wrote any.

    Raises:
        PachydermError: a reference can't be resolved, and a step that is sure to run reads it.
    """
    timeout = config.timeout or DEFAULT_TIMEOUT
    deadline = time.monotonic() + timeout
    try:
        with connect(address.from_environment(config.address), min(timeout, CONNECT_TIMEOUT)) as pachd:
            lists = {name: _found_all(pachd, config, execution, name, deadline) for name in config.lists}
            found = {
                name: _found(pachd, config, execution, name, deadline)
                for name in config.references
                if name not in lists
            }
            _write(execution, {**lists, **found})
            make_pipelines(pachd, config, execution.identity.pipeline, found)
    except PachydermError as error:
        if set(config.references) > set(config.optional):
            raise
        _write(execution, {name: _all_open(config, execution, name, error) for name in config.references})


def _found(pachd: Pachd, config: SnapshotConfig, execution: Execution, name: str, deadline: float) -> str:
    given = execution.parameter(name)
    # Where a list of commits has others with files, the step takes one without.
    glob = None if name in config.elements else "/"
    if name not in config.optional:
        return str(resolve(pachd, _reference(config, name, given), deadline, say, glob))
    try:
        # An open commit is not waited for: the steps that read it may never run.
        return str(resolve(pachd, _reference(config, name, given), time.monotonic(), say, glob))
    except PachydermError as error:
        return _left_open(given or config.references[name], error)


def _found_all(
    pachd: Pachd, config: SnapshotConfig, execution: Execution, name: str, deadline: float
) -> list[str]:
    """As `_found`, of every element of a list."""
    every = _elements(execution, name)
    return [_found_one(pachd, config, name, each, index, deadline) for index, each in enumerate(every)]


def _found_one(
    pachd: Pachd, config: SnapshotConfig, name: str, given: Any, index: int, deadline: float
) -> Any:
    optional = name in config.optional
    until = time.monotonic() if optional else deadline
    try:
        # In a list a commit without files is allowed: the step shows an empty folder for it.
        return str(resolve(pachd, _reference(config, name, checked(name, index, given)), until, say, None))
    except PachydermError as error:
        if not optional:
            raise
        return _each_open(given, error)


def _elements(execution: Execution, name: str) -> list[Any]:
    value = execution.value(name)
    return value if isinstance(value, list) else []


def _reference(config: SnapshotConfig, name: str, given: str) -> Reference:
    """The reference in the run's parameter of that name; where that is "", the one that authoring wrote."""
    written = config.references[name]
    usual = parse(written, config.project) if written else None
    if usual and not given:
        return usual
    return parse(given, usual.project if usual else config.project)


def _left_open(text: str, error: PachydermError) -> str:
    say(f"{type(error).__name__}: {error}; left to the steps that read it, should they run")
    return left_open(text)


def _all_open(
    config: SnapshotConfig, execution: Execution, name: str, error: PachydermError
) -> str | list[Any]:
    if name not in config.lists:
        return _left_open(execution.parameter(name) or config.references[name], error)
    return [_each_open(each, error) for each in _elements(execution, name)]


def _each_open(given: Any, error: PachydermError) -> Any:
    """Leaves a reference open; keeps any other value, which the step refuses with its own error."""
    return _left_open(given, error) if isinstance(given, str) and given.strip() else given


def _write(execution: Execution, found: Mapping[str, str | list[Any]]) -> None:
    for name, value in found.items():
        text = value if isinstance(value, str) else json.dumps(value)
        announce(f"snapshot {name}={text}")
        file = execution.parameter_file(name)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
