"""What a step loads, and what it leaves to those who use it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from launcher_steps import Runner  # type: ignore[import-not-found]

#: What pachyderm_sdk, grpc, cheroot and the standard library load, and no step uses.
LEFT_OUT = {
    "asyncio",
    "grpc.aio",
    "betterproto",
    "importlib.metadata",
    "inspect",
    "ast",
    "traceback",
    "locale",
    "bz2",
    "lzma",
}
#: What only others use, or the author of a pipeline.
NOT_OURS = {
    "kfp",
    "pydantic",
    "requests",
    "pachyderm_sdk",
    "pachyderm_sdk.client",
    "pachyderm_sdk.api.debug",
    "kfp_pachyderm.provenance.graph.model",
}


def test_a_step_loads_nothing_that_it_does_not_use(step: Runner) -> None:
    """Python tells of each import: of the launcher, of its adapter and of the command, which has none."""
    step.fill()
    ended = step.end(step.start("pass", env={"PYTHONPROFILEIMPORTTIME": "1"}))
    assert ended.code == 0
    loaded = re.findall(r"^import time: *\d+ \| *\d+ \| *(\S+)$", ended.err, re.MULTILINE)
    assert {"grpc", "cheroot", "pachyderm_sdk.api.pps"} <= set(loaded)
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


def test_a_stand_in_answers_as_the_module_does() -> None:
    code = """
import functools, sys
from kfp_pachyderm.fast_import import StandIn, prepare
prepare()
import bz2, inspect
from dataclasses import dataclass
class Written:
    one: "int"
def function(one: int): pass
assert inspect.get_annotations(Written) == inspect.get_annotations(dataclass(Written)) == {"one": "int"}
assert isinstance(sys.modules["inspect"], StandIn)
assert inspect.get_annotations(Written, eval_str=True) == {"one": int}
assert inspect.get_annotations(functools.partial(function)) == {}
assert bz2.__file__.endswith("bz2.py")
from lzma import *
print(decompress(compress(b"a")))
"""
    assert run(code) == "b'a'\n"


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("asyncio", "import asyncio.events; below = asyncio.events"),
        ("asyncio", "import asyncio.events as below"),
        ("asyncio", "from asyncio import events as below"),
        ("asyncio", "from asyncio.events import AbstractEventLoop; below = sys.modules['asyncio.events']"),
        ("asyncio", "from importlib import import_module; below = import_module('asyncio.events')"),
        ("xml.dom", "import xml.dom.minidom; below = xml.dom.minidom"),
        ("importlib.metadata", "import importlib.metadata._meta; below = importlib.metadata._meta"),
        ("grpc.aio", "import grpc.aio._channel; below = grpc.aio._channel"),
    ],
)
def test_a_module_below_a_stand_in_is_the_real_one(name: str, statement: str) -> None:
    """It is loaded once, and found below the real package."""
    code = f"""
import sys
from importlib import import_module, reload
from kfp_pachyderm.fast_import import StandIn
with StandIn("{name}"):
    {statement}
whole = import_module("{name}")
assert not isinstance(whole, StandIn) and sys.modules["{name}"] is whole
assert sys.modules[below.__name__] is below is getattr(whole, below.__name__.rpartition(".")[2])
assert below.__spec__.origin == below.__file__ and below.__spec__.loader is below.__loader__
{{"asyncio": lambda: whole.AbstractEventLoop is below.AbstractEventLoop or 1 / 0}}.get("{name}", id)
assert reload(below) is below
print(below.__name__ in sys.modules)
"""
    assert run(code) == "True\n"


def test_a_module_that_is_not_there_is_not_there_below_a_stand_in() -> None:
    code = """
from kfp_pachyderm.fast_import import StandIn, prepare
prepare()
for name in ("inspect.below", "asyncio.none_such"):
    with StandIn("asyncio"):
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            print(error.name)
"""
    assert run(code) == "inspect.below\nasyncio.none_such\n"


def test_a_module_that_this_python_has_not_ends_no_look_at_all_modules() -> None:
    """Some Pythons are built without lzma. `inspect` asks each module for its file."""
    code = """
import sys
sys.modules["_lzma"] = None
sys.modules.pop("lzma", None)
from kfp_pachyderm.fast_import import prepare
prepare()
import inspect
print(len(inspect.stack()))
try:
    from lzma import *
except ImportError:
    print("not here")
"""
    assert run(code) == "1\nnot here\n"


def test_a_stand_in_within_a_package_is_found_there_and_gone_afterwards() -> None:
    code = """
from kfp_pachyderm.fast_import import StandIn
import importlib
with StandIn("importlib.metadata", version=str.upper):
    import importlib.metadata
    print(importlib.metadata.version("one"))
print(hasattr(importlib, "metadata"))
from importlib import metadata
print(type(metadata).__name__)
"""
    assert run(code) == "ONE\nFalse\nmodule\n"


def test_versions_that_others_ask_for_while_cheroot_is_loaded_are_theirs() -> None:
    code = """
from kfp_pachyderm.adapter.control.commands import _version
from kfp_pachyderm.fast_import import StandIn
with StandIn("importlib.metadata", version=_version):
    import importlib.metadata
    print(importlib.metadata.version("cheroot"))
    kept = importlib.metadata.version
    asked = kept("pip")
print(asked == importlib.metadata.version("pip") == kept("pip"))
"""
    assert run(code) == "unknown\nTrue\n"


def test_what_is_done_to_a_stand_in_is_done_to_the_module() -> None:
    code = """
import sys
from importlib.util import find_spec
from kfp_pachyderm.fast_import import prepare
prepare()
from unittest import mock
import traceback, ipaddress, locale, lzma
assert find_spec("lzma").name == "lzma"
assert "ip_address" in dir(ipaddress)
traceback.format_exc = lambda: "patched"
assert sys.modules["traceback"].format_exc() == "patched"
with mock.patch("locale.getlocale", lambda: "patched"):
    assert locale.getlocale() == sys.modules["locale"].getlocale() == "patched"
assert locale.getlocale() != "patched"
del traceback.format_exc
print(hasattr(sys.modules["traceback"], "format_exc"))
"""
    assert run(code) == "False\n"


def test_threads_may_use_a_stand_in_at_once() -> None:
    code = """
import sys
from threading import Barrier, Thread
from kfp_pachyderm.fast_import import StandIn
sys.setswitchinterval(1e-6)
failed = []
def use(stand_in, together):
    together.wait()
    try:
        stand_in.rgb_to_hsv
    except KeyError as error:
        failed.append(error)
for _ in range(1000):
    sys.modules.pop("colorsys", None)
    stand_in = sys.modules["colorsys"] = StandIn("colorsys")
    together = Barrier(4)
    threads = [Thread(target=use, args=(stand_in, together)) for _ in range(4)]
    for one in threads: one.start()
    for one in threads: one.join()
print(len(failed))
"""
    assert run(code) == "0\n"


LEAN = "import sys; from kfp_pachyderm.launcher.lean_sdk import load; load(); "


def test_what_was_left_out_comes_when_it_is_used() -> None:
    code = """
import grpc
assert not {"asyncio", "betterproto"} & set(sys.modules)
import asyncio, betterproto.lib.google.protobuf
from kfp_pachyderm.pachd.sdk import pfs
assert grpc.aio.Channel.__module__ == "grpc.aio._base_channel"
print(issubclass(pfs.Repo, betterproto.Message), betterproto.lib.google.protobuf.Empty().to_dict())
"""
    assert run(LEAN + code).strip() == "False {}"


def test_grpc_keeps_its_aio_however_often_it_is_asked_for() -> None:
    """The adapter asks for grpc at each connection."""
    code = """
from kfp_pachyderm.fast_import import without_asyncio
for _ in range(2):
    with without_asyncio():
        import grpc
print(grpc.aio.Channel.__module__)
"""
    assert run(code) == "grpc.aio._base_channel\n"


def test_the_real_modules_are_used_where_they_are_loaded_already() -> None:
    code = (
        "import asyncio, grpc.aio, betterproto; "
        f"{LEAN}"
        "from kfp_pachyderm.pachd.sdk import pfs; "
        "print(grpc.aio is sys.modules['grpc.aio'], issubclass(pfs.Repo, betterproto.Message))"
    )
    assert run(code).split() == ["True", "True"]


def test_a_release_of_the_sdk_that_needs_more_of_betterproto_gets_it() -> None:
    code = """
from kfp_pachyderm.protocol import lean_messages
lean_messages._KINDS = lean_messages._KINDS[1:]  # as if its kind of fields were a new one
"""
    checked = """
import betterproto
from kfp_pachyderm.pachd.sdk import pps
print(issubclass(pps.Job, betterproto.Message))
"""
    assert run(code + LEAN + checked).strip() == "True"


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
