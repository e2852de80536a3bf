"""`python -m kfp_pachyderm.launcher <config JSON> --executor-input <JSON> -- <command…>`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from kfp_pachyderm.fast_import import prepare, uncollected
from kfp_pachyderm.launcher.step_log import say

TYPE_CHECKING = False  # see kfp_pachyderm/__init__.py
if TYPE_CHECKING:
    from subprocess import Popen
    from typing import NoReturn

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
    prepare()
    # First of all: the adapter loads its modules while the launcher loads its own.
    spawned = spawn_adapter(argv[0])
    from kfp_pachyderm.launcher.child.signals import Interrupted, Signals

    try:
        with Signals() as signals:
            with uncollected():
                from kfp_pachyderm.launcher.dispatch import run
            return run(argv[0], argv[2], argv[4:], signals, spawned)
    except Interrupted as interrupted:
        say(f"ended by {interrupted}")
        return 128 + interrupted.number


def spawn_adapter(config: str) -> Popen[bytes] | None:
    """The process of the step's adapter; None for a config without one."""
    if not _has_adapter(config):
        return None
    from kfp_pachyderm.adapter.control.spawn import spawn

    return spawn()


def _has_adapter(config: str) -> bool:
    try:
        data = json.loads(config)
    except ValueError:
        return False  # `config.loads` reports what is wrong with it
    step = isinstance(data, dict) and data.get("kind") == "step"
    return step and data.get("gateway", "adapter") == "adapter"


def leave(code: int) -> NoReturn:
    """Ends the process without tearing down grpc and its threads, which takes longer than many a step."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
