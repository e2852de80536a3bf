"""`python -m kfp_pachyderm.launcher <config JSON> --executor-input <JSON> -- <command…>`."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack, suppress
from typing import NoReturn

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.launcher import config as configs
from kfp_pachyderm.launcher.execution import Execution, parse
from kfp_pachyderm.launcher.say import say
from kfp_pachyderm.launcher.signals import Interrupted, Signals

_USAGE = "usage: python -m kfp_pachyderm.launcher <config JSON> --executor-input <JSON> -- <command...>"


def main(argv: list[str]) -> int:
    """Runs one step, a run's snapshot, or a reusable component.

    Args:
        argv: without the program's name.

    Returns:
        The user's command's exit code; 1 when Pachyderm's part failed; 2 for a wrong call; 128 + n on
        signal n.
    """
    if len(argv) < 4 or argv[1] != "--executor-input" or argv[3] != "--":
        say(_USAGE)
        return 2
    logging.basicConfig(level=logging.WARNING, format="[kfp-pachyderm] %(message)s")
    try:
        with Signals() as signals:
            return _run(configs.loads(argv[0]), parse(argv[2]), argv[4:], signals)
    except Interrupted as interrupted:
        say(f"ended by {interrupted}")
        return 128 + interrupted.number
    except PachydermError as error:
        say(f"{type(error).__name__}: {error}")
        return 1


def _run(config: configs.Config, execution: Execution, command: list[str], signals: Signals) -> int:
    # The heavy imports come late: the adapter loads its own at the same time.
    if isinstance(config, configs.SnapshotConfig):
        from kfp_pachyderm.launcher.snapshot import run_snapshot

        run_snapshot(config, execution)
        return 0
    if isinstance(config, configs.ReusableConfig):
        from kfp_pachyderm.launcher.reusable import run_reusable

        run_reusable(config, execution)
        return 0
    with ExitStack() as stack:
        adapter = None
        if config.gateway == "adapter":
            from kfp_pachyderm.adapter.process import AdapterProcess

            adapter = stack.enter_context(AdapterProcess())
        from kfp_pachyderm.launcher.step import run_step

        return run_step(config, execution, command, signals, adapter)


def leave(code: int) -> NoReturn:
    """Ends the process without tearing down grpc and its threads, which takes longer than many a step."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
