"""Finds the official client library, or installs it if the bootstrap installed the launcher for this step."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import kfp_pachyderm
from kfp_pachyderm import private_folders

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

_DISTRIBUTION = "openlineage-python"
_WAY_OUT = (
    "pip install 'kfp-pachyderm[openlineage]' where the launcher is installed, in a cluster the step's image"
)
#: The arguments of pip with which the bootstrap installs the launcher (launcher/bootstrap.py).
_PACKAGE_VARIABLE = "KFP_PACHYDERM_PACKAGE"


class NoEvents(Exception):
    """No event can be sent; the text says why."""


def client(folder: Path, tell: Callable[[str], None]) -> OpenLineageClient:
    """Returns the library's client, configured by the environment or the config file.

    Args:
        folder: where the library is installed if it is missing.
        tell: takes one line for the user.

    Raises:
        NoEvents: the library is missing, or its configuration can't be used or names no transport.
    """
    _require(folder)
    from openlineage.client import OpenLineageClient

    logging.getLogger("openlineage").addHandler(_Lines(tell, logging.ERROR))
    try:
        found = OpenLineageClient()
        asked_for = (found.config.transport or {}).get("type")
    except Exception as error:
        # The library's error text may quote the configuration, which may hold a key.
        raise NoEvents(f"the configuration can't be used: {why(error)}") from error
    if found.transport.kind == "console" and asked_for != "console":
        raise NoEvents(
            "the configuration names no transport: set OPENLINEAGE_URL, or `transport` in the file"
        )
    if asked_for == "console":
        printed = logging.getLogger("openlineage.client.transport.console")
        printed.setLevel(logging.INFO)
        printed.addHandler(_Lines(tell, logging.INFO))
    return found


class _Lines(logging.Handler):
    """Passes the library's log messages on, without tracebacks: they may quote the configuration."""

    def __init__(self, tell: Callable[[str], None], level: int) -> None:
        super().__init__(level)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


def why(error: BaseException) -> str:
    """Returns an error's class and cause, without its text, which may quote an address with a key in it."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the server answered {status}"
    reason = next((one.strerror for one in _behind(error) if isinstance(one, OSError) and one.strerror), "")
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


def _behind(error: BaseException | None) -> list[BaseException]:
    """Returns an error and its causes, the first cause first. urllib3 keeps causes in `args`, too."""
    found: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        if one is not None and one not in found:
            found.append(one)
            inner = [*one.args, getattr(one, "reason", None), one.__context__, one.__cause__]
            left += [each for each in inner if isinstance(each, BaseException)]
    return found[::-1]


def _require(folder: Path) -> None:
    try:
        importlib.import_module("openlineage.client")
    except ImportError as error:
        if not Path(kfp_pachyderm.__file__).parents[1].name.startswith(private_folders.LAUNCHER):
            raise NoEvents(f"no events are sent, {error}: {_WAY_OUT}") from error
        _install(folder)


def _install(folder: Path) -> None:
    """Installs the library into a folder of this process, from the source that the launcher came from."""
    *source, _ = (os.environ.get(_PACKAGE_VARIABLE) or "kfp-pachyderm").split()
    required = metadata.requires("kfp-pachyderm") or ()
    asked = next((one for one in required if one.startswith(_DISTRIBUTION)), _DISTRIBUTION)
    command = [sys.executable, "-m", "pip", "install", "-qq", "--no-input", "--no-compile"]
    done = subprocess.run(
        [*command, "--target", str(folder), *source, asked.partition(";")[0].strip()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={
            **os.environ,
            "PIP_USER": "0",
            "PIP_REQUIRE_VIRTUALENV": "0",
            "PIP_PREFIX": "",
            "PIP_CONSTRAINT": "",
        },
        check=False,
    )
    sys.path.append(str(folder))
    importlib.invalidate_caches()
    try:
        importlib.import_module("openlineage.client")
    except ImportError as error:
        raise NoEvents(
            f"no events are sent, {error}, and pip could not install it "
            f"(exit code {done.returncode}): {_WAY_OUT}"
        ) from error
