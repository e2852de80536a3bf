"""What a step loads, and what it leaves to those who use it."""

from __future__ import annotations

import re
import subprocess
import sys

from launcher_steps import Runner  # type: ignore[import-not-found]

#: What betterproto, grpc and cheroot load, and no step uses.
LEFT_OUT = {
    "asyncio",
    "grpc.aio",
    "grpclib.client",
    "dateutil.parser",
    "dateutil.parser._parser",
    "importlib.metadata",
}
#: What only others use, or the author of a pipeline.
NOT_OURS = {"kfp", "pydantic", "requests", "pachyderm_sdk", "pachyderm_sdk.client", "pachyderm_sdk.api.debug"}


def test_a_step_loads_nothing_that_it_does_not_use(step: Runner) -> None:
    """Python tells of each import: of the launcher, of its adapter and of the command, which has none."""
    step.fill()
    ended = step.end(step.start("pass", env={"PYTHONPROFILEIMPORTTIME": "1"}))
    assert ended.code == 0
    loaded = re.findall(r"^import time: *\d+ \| *\d+ \| *(\S+)$", ended.err, re.MULTILINE)
    assert {"betterproto", "grpc", "cheroot", "pachyderm_sdk.api.pps"} <= set(loaded)
    assert not (LEFT_OUT | NOT_OURS) & set(loaded)


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


LEAN = "import sys; from kfp_pachyderm.launcher.lean_sdk import load; load(); "


def test_what_was_left_out_comes_when_it_is_used() -> None:
    code = """
import betterproto, grpc
from betterproto.grpc import grpclib_client
from kfp_pachyderm.pachd.sdk import pps
assert grpclib_client.asyncio.Queue and "asyncio" in sys.modules
import asyncio
assert grpclib_client.asyncio.Queue is asyncio.Queue
assert grpc.aio.Channel.__module__ == "grpc.aio._base_channel"
info = pps.JobInfo().from_dict({"created": "2026-01-02T03:04:05Z"})
assert info.created.isoformat() == "2026-01-02T03:04:05+00:00"
import betterproto._version, importlib.metadata
print(betterproto._version.__version__ == importlib.metadata.version("betterproto"))
"""
    assert run(LEAN + code).strip() == "True"


def test_the_real_modules_are_left_where_they_are_loaded_already() -> None:
    code = (
        "import asyncio, grpc.aio, betterproto; "
        "from betterproto.grpc import grpclib_client; "
        f"{LEAN}"
        "print(grpclib_client.asyncio is asyncio is sys.modules['asyncio'], betterproto.__version__ != '',"
        " grpc.aio is sys.modules['grpc.aio'])"
    )
    assert run(code).split() == ["True", "True", "True"]


def test_a_folder_that_may_not_be_read_does_not_hide_the_version() -> None:
    """The working folder, say, of an image whose user KFP's namespace replaces."""
    code = """
import os, sys
sys.path.insert(0, "/locked")
real, isdir = os.listdir, os.path.isdir
def listdir(path):
    if path == "/locked":
        raise PermissionError(13, "Permission denied", path)
    return real(path)
os.listdir, os.path.isdir = listdir, lambda path: path == "/locked" or isdir(path)
import kfp_pachyderm
found = kfp_pachyderm.__version__
from importlib.metadata import version
print(found == version("kfp-pachyderm"))
"""
    assert run(code).strip() == "True"
