"""Runs a replay by kfp.local, on the given Pachyderm."""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stdout

from kfp_pachyderm import local
from kfp_pachyderm.errors import JobFailedError
from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.references import Reference, parse
from kfp_pachyderm.replay.model import Plan
from kfp_pachyderm.replay.pipeline import output_name, pipeline


def run_here(plan: Plan, where: Address, port_forward: bool) -> dict[Reference, Reference]:
    """Runs the plan's steps; their logs go to the standard error.

    Args:
        plan: the plan.
        where: pachd's address.
        port_forward: whether Pachyderm is reached through the Kubernetes API.

    Returns:
        The original's output commit of each step → the replay's.

    Raises:
        JobFailedError: a step failed.
    """
    with (
        redirect_stdout(sys.stderr),
        tempfile.TemporaryDirectory(prefix="kfp-pachyderm-replay-") as folder,
        local.init(folder, address=where.url, token=where.token, port_forward=port_forward),
    ):
        try:
            task = pipeline(plan, in_cluster=False)()
        except RuntimeError as error:
            # kfp.local raises RuntimeError for each failure of a task.
            raise JobFailedError(f"the replay of {plan.of} failed, see its log above: {error}") from error
        return {
            step.original: parse(task.outputs[output_name(number)], step.config.project)
            for number, step in enumerate(plan.steps)
        }
