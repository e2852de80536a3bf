"""The first step of a run: every branch resolved once, so that all steps of the run see the same data."""

from __future__ import annotations

import time

from kfp_pachyderm.launcher.config import SnapshotConfig
from kfp_pachyderm.launcher.execution import Execution
from kfp_pachyderm.launcher.say import announce, say
from kfp_pachyderm.launcher.step import DEFAULT_TIMEOUT
from kfp_pachyderm.pachyderm import address
from kfp_pachyderm.pachyderm.client import CONNECT_TIMEOUT, connect
from kfp_pachyderm.pachyderm.references import Reference, parse, resolve


def run_snapshot(config: SnapshotConfig, execution: Execution) -> None:
    """Writes `project/repo@<commit id>` to every output parameter, or fails before it wrote any.

    Raises:
        PachydermError: a reference can't be resolved.
    """
    timeout = config.timeout or DEFAULT_TIMEOUT
    deadline = time.monotonic() + timeout
    with connect(address.from_environment(config.address), min(timeout, CONNECT_TIMEOUT)) as pachd:
        parsed = {name: _reference(config, execution, name) for name in config.references}
        found = {name: resolve(pachd, reference, deadline, say) for name, reference in parsed.items()}
    for name, commit in found.items():
        announce(f"snapshot {name}={commit}")
        file = execution.parameter_file(name)
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(commit))


def _reference(config: SnapshotConfig, execution: Execution, name: str) -> Reference:
    """The run's parameter of that name if it says something, else the branch that authoring wrote."""
    written = config.references[name]
    usual = parse(written, config.project) if written else None
    given = execution.parameter(name)
    if usual and not given:
        return usual
    return parse(given, usual.project if usual else config.project)
