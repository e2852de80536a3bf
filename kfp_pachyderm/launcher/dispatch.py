"""Runs what a config asks for: a step, a run's snapshot, or a reusable component."""

from __future__ import annotations

import logging
import os
import subprocess
from contextlib import ExitStack

from kfp_pachyderm.adapter.control.process import AdapterProcess
from kfp_pachyderm.errors import PachydermError, ProtocolError
from kfp_pachyderm.fast_import import uncollected
from kfp_pachyderm.launcher import config as configs
from kfp_pachyderm.launcher import lean_sdk
from kfp_pachyderm.launcher.child.signals import Signals
from kfp_pachyderm.launcher.executor_input import Execution, parse
from kfp_pachyderm.launcher.step_log import say


def run(
    config_text: str,
    executor_input: str,
    command: list[str],
    signals: Signals,
    spawned: subprocess.Popen[bytes] | None,
) -> int:
    """Runs what the config asks for.

    Args:
        config_text: the config as JSON, written by authoring.
        executor_input: KFP's executor input, as JSON.
        command: the user's command.
        signals: the signal handlers, already installed.
        spawned: the step's adapter, if it has been started.

    Returns:
        The user's command's exit code; 1 when Pachyderm's part failed.
    """
    logging.basicConfig(level=logging.WARNING, format="[kfp-pachyderm] %(message)s")
    try:
        with ExitStack() as stack:
            adapter = stack.enter_context(AdapterProcess(spawned)) if spawned else None
            config, execution = _read(config_text, executor_input, command)
            if isinstance(config, configs.StepConfig) and config.workload:
                from kfp_pachyderm.launcher.child.task_config import handed_over, withheld

                command = handed_over(config, execution, executor_input, command)
                for name in withheld(config, execution):
                    os.environ.pop(name, None)
            return _run(config, execution, command, signals, adapter)
    except PachydermError as error:
        say(f"{type(error).__name__}: {error}")
        return 1


def _read(config_text: str, executor_input: str, command: list[str]) -> tuple[configs.Config, Execution]:
    try:
        return configs.loads(config_text), parse(executor_input, command=command)
    except ValueError as error:
        raise ProtocolError(str(error)) from error


def _run(
    config: configs.Config,
    execution: Execution,
    command: list[str],
    signals: Signals,
    adapter: AdapterProcess | None,
) -> int:
    if isinstance(config, configs.StepConfig):
        with uncollected():
            lean_sdk.load_grpc()
            from kfp_pachyderm.launcher.lifecycle import run_step

        return run_step(config, execution, command, signals, adapter)
    with uncollected():
        lean_sdk.load()
    if isinstance(config, configs.SnapshotConfig):
        from kfp_pachyderm.launcher.snapshot.branches import run_snapshot

        run_snapshot(config, execution)
        return 0
    from kfp_pachyderm.launcher.reusable.dispatch import run_reusable

    run_reusable(config, execution)
    return 0
