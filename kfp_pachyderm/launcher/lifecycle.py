"""One wrapped component, from its inputs to its record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING

from kfp_pachyderm.errors import JobFailedError, JobLostError, PachydermUnreachableError, TemporaryError
from kfp_pachyderm.fast_import import uncollected
from kfp_pachyderm.launcher import lean_sdk
from kfp_pachyderm.launcher.background import beside
from kfp_pachyderm.launcher.child.signals import Signals
from kfp_pachyderm.launcher.config import StepConfig
from kfp_pachyderm.launcher.events import Events
from kfp_pachyderm.launcher.executor_input import Execution
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.connection import address
from kfp_pachyderm.pachd.connection.client import CONNECT_TIMEOUT, Pachd, connect

if TYPE_CHECKING:
    from kfp_pachyderm.adapter.control.process import AdapterProcess
    from kfp_pachyderm.launcher.attached_job import Attached
    from kfp_pachyderm.launcher.claim.open_job import Opened

#: Seconds for each wait on Pachyderm when the step's author gave none.
DEFAULT_TIMEOUT = 1800.0
#: Seconds beyond the lease that pachd may be away. The holder bears a silent step for the lease; the step
#: bears a silent pachd for little longer.
UNREACHABLE_GRACE = 2.0
#: Seconds before each new attempt to open a job, after a temporary failure before user code began.
_PAUSES = (0.5, 1.0, 2.0, 4.0)
_FOR_THE_JOB = ("kfp_pachyderm.launcher.attached_job", "kfp_pachyderm.launcher.record.initial")


def run_step(
    config: StepConfig,
    execution: Execution,
    command: list[str],
    signals: Signals,
    adapter: AdapterProcess | None,
) -> int:
    """Runs the user's command as one S3-enabled Pachyderm job.

    Args:
        config: the step's config.
        execution: KFP's executor input.
        command: the user's command.
        signals: the signal handlers, already installed.
        adapter: the started adapter; None with gateway="direct".

    Returns:
        The command's own exit code.

    Raises:
        PachydermError: the step failed for another reason; the launcher has tried to end its job.
    """
    timeout = config.timeout or DEFAULT_TIMEOUT
    with ExitStack() as stack:
        where = address.from_environment(config.address)
        seconds, grace = min(timeout, CONNECT_TIMEOUT), config.holder.lease + UNREACHABLE_GRACE
        connected = beside(lambda: connect(where, seconds, grace))
        with uncollected():  # while pachd is asked
            from kfp_pachyderm.launcher.folder import private_folder

            folder = stack.enter_context(private_folder())
            lean_sdk.load()
            from kfp_pachyderm.launcher.claim.open_job import open_step
        pachd = stack.enter_context(connected.result())
        beside(_load_the_rest)
        events = stack.enter_context(Events(where))
        deadline, pauses = time.monotonic() + timeout, iter(_PAUSES)
        failed: JobFailedError | None = None
        while True:
            opened = attached = None
            try:
                opened = open_step(pachd, config, execution, deadline, failed)
                with events.of_job(opened, execution.identity) as watched:
                    kind = _attached(pachd, opened)
                    attached = kind(pachd, opened, execution, signals, adapter, folder, timeout)
                    watched.attached = attached
                    return attached.run(command)
            except TemporaryError as error:
                if attached is not None and attached.begun:
                    raise
                _pause(pachd, opened, error, pauses, deadline)
            except JobFailedError as error:
                begun = attached is None or attached.begun
                if failed or begun or config.concurrency == 1 or not _is_ill(pachd, opened):
                    raise
                failed = error
                say(f"{error}; looking for another one of the step's pipelines")


def _load_the_rest() -> None:
    """Loads what a claimed job needs, while pachd is asked for it."""
    with uncollected():
        for one in _FOR_THE_JOB:
            import_module(one)


def _is_ill(pachd: Pachd, opened: Opened | None) -> bool:
    from kfp_pachyderm.pachd.claims.ownership import find_pipeline
    from kfp_pachyderm.pachd.jobs.crashes import can_not_run

    found = find_pipeline(pachd, opened.plan.project, opened.plan.name) if opened else None
    return found is not None and can_not_run(found)


def _pause(
    pachd: Pachd, opened: Opened | None, error: TemporaryError, pauses: Iterator[float], deadline: float
) -> None:
    """Waits until the step may be tried again; raises the error when no attempt is left."""
    pause = next(pauses, None)
    if pause is None or time.monotonic() + pause >= deadline:
        raise error
    if opened and isinstance(error, JobLostError):
        from kfp_pachyderm.pachd.claims.ownership import mark_claims

        # A gc that deletes an idle pipeline deletes its claim branches too, perhaps before this claim.
        mark_claims(pachd, opened.plan)
    if isinstance(error, PachydermUnreachableError):
        pachd.wait_for_answer(error)
        if opened:
            from kfp_pachyderm.launcher.claim.open_job import withdraw

            # While pachd was away its job could not be stopped; the next one would queue behind it.
            withdraw(pachd, opened.job, f"replaced, as pachd was away: {error}")
    say(f"{error}; the step's command has not begun, trying again")
    time.sleep(pause)


def _attached(pachd: Pachd, opened: Opened) -> type[Attached]:
    # Loaded by now, see `_load_the_rest`.
    try:
        with uncollected():
            from kfp_pachyderm.launcher.attached_job import Attached
    except BaseException as error:
        from kfp_pachyderm.launcher.claim.open_job import withdraw

        withdraw(pachd, opened.job, f"the step ended before it began: {error}")
        raise
    return Attached
