"""What a step loads, and what it leaves to those who use it."""

from __future__ import annotations

import re
import subprocess
import sys

from launcher_steps import Runner  # type: ignore[import-not-found]

#: What betterproto, grpc, cheroot and the standard library load, and no step uses.
LEFT_OUT = {
    "asyncio",
    "grpc.aio",
    "grpclib.client",
    "dateutil.parser",
    "dateutil.parser._parser",
    "importlib.metadata",
    "inspect",
    "ast",
    "traceback",
    "locale",
    "bz2",
    "lzma",
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


def test_the_standard_library_gets_what_stands_in_when_it_uses_it() -> None:
    code = """
from kfp_pachyderm.fast_import import StandIn, prepare
import sys
prepare()
import dataclasses, logging, shutil, subprocess, tempfile, urllib.parse
names = ("bz2", "inspect", "ipaddress", "locale", "lzma", "traceback")
assert all(isinstance(sys.modules[name], StandIn) for name in names)
assert urllib.parse.urlsplit("http://[::1]:80").port == 80
assert subprocess.run(["echo", "\\xe4"], text=True, capture_output=True).stdout == "\\xe4\\n"
assert ("bztar", "bzip2'ed tar-file") in shutil.get_archive_formats()
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("told")
made = dataclasses.make_dataclass("Made", [("one", int)])
assert isinstance(sys.modules["inspect"], StandIn) and made(1).one == 1
from inspect import signature
import bz2, locale, lzma
print(str(signature(signature)), bz2.decompress(bz2.compress(b"a")) + lzma.decompress(lzma.compress(b"b")))
print(not any(isinstance(sys.modules.get(name), StandIn) for name in names))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.endswith("b'ab'\nTrue\n")
    assert "ZeroDivisionError: division by zero" in found.stderr


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
