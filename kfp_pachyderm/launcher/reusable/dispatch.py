"""The reusable components (`components/` holds their component.yaml files): what each of them does."""

from __future__ import annotations

import time

from kfp_pachyderm.errors import PermanentError, ProtocolError
from kfp_pachyderm.launcher.claim.job_signature import kfp_task
from kfp_pachyderm.launcher.config import ReusableConfig
from kfp_pachyderm.launcher.executor_input import Execution
from kfp_pachyderm.launcher.reusable.commit_resolve import resolve_commit
from kfp_pachyderm.launcher.reusable.component_call import Call
from kfp_pachyderm.launcher.reusable.repo_get import get
from kfp_pachyderm.launcher.reusable.repo_put import put
from kfp_pachyderm.launcher.reusable.s3_pipeline_run import run
from kfp_pachyderm.pachd.connection import address
from kfp_pachyderm.pachd.connection.client import CONNECT_TIMEOUT, connect

_COMPONENTS = {"commit/resolve": resolve_commit, "repo/get": get, "repo/put": put, "s3_pipeline/run": run}


def run_reusable(config: ReusableConfig, execution: Execution) -> None:
    """Runs one reusable component on its KFP inputs.

    Raises:
        PachydermError: the component failed; it has tried to undo its unfinished commit, or stop its job.
    """
    if config.component not in _COMPONENTS:
        raise ProtocolError(
            f"the step config is for component {config.component!r}, which this launcher does not know "
            f"({', '.join(_COMPONENTS)}): install the version of kfp-pachyderm that has it in the image"
        )
    timeout = _timeout(execution)
    where = address.from_environment(execution.parameter("address"))
    with connect(where, min(timeout, CONNECT_TIMEOUT)) as pachd:
        task = kfp_task(config, execution.identity)
        _COMPONENTS[config.component](Call(pachd, execution, task, time.monotonic() + timeout))


def _timeout(execution: Execution) -> float:
    given = execution.value("timeout")
    if not isinstance(given, (int, float)) or given <= 0:
        raise PermanentError(f"timeout must be a positive number of seconds, like 1800, not {given!r}")
    return float(given)
