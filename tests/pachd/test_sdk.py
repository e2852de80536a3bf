"""The messages of `pachd.sdk` are equal to the SDK's own, and become dataclasses when they are first used."""

import json
import subprocess
import sys
from typing import Any

import pytest

_DESCRIBE = """
import dataclasses, json, threading
import betterproto

def is_message(value, module):
    return (isinstance(value, type) and issubclass(value, betterproto.Message)
            and value.__module__ == module.__name__)

def fields(module):
    every = [one for one in vars(module).values() if is_message(one, module)]
    made = {one.__name__: [bytes(one()).hex(), one.__name__, one().to_json()] for one in every}
    return {name: [*made[name], [field.name for field in dataclasses.fields(one)]]
            for name, one in ((one.__name__, one) for one in every)}

from betterproto.lib.google import protobuf

modules = [admin, auth, metadata, pfs, pps, transaction, version, protobuf]
"""
_AS_THE_LAUNCHER = (
    "from kfp_pachyderm.pachd.sdk import admin, auth, metadata, pfs, pps, transaction, version\n"
)
#: The whole package gives some messages defaults, such as the project.
_AS_GENERATED = """
import importlib.machinery, sys, types
sys.modules["pachyderm_sdk"] = bare = types.ModuleType("pachyderm_sdk")
bare.__path__ = importlib.machinery.PathFinder.find_spec("pachyderm_sdk").submodule_search_locations
from pachyderm_sdk.api import admin, auth, metadata, pfs, pps, transaction, version
"""
_PRINT = "print(json.dumps({one.__name__: fields(one) for one in modules}))"


def told(code: str) -> Any:
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def test_every_message_is_the_sdks_own() -> None:
    ours = told(_AS_THE_LAUNCHER + _DESCRIBE + _PRINT)
    assert ours == told(_AS_GENERATED + _DESCRIBE + _PRINT)
    assert sum(map(len, ours.values())) > 250


@pytest.mark.parametrize(
    "statement",
    [
        "import pachyderm_sdk",
        "import pachyderm_sdk.api",
        "import pachyderm_sdk.api.pfs",
        "import pachyderm_sdk.api.debug",
        "from pachyderm_sdk import Client; import pachyderm_sdk",
        "import importlib, pachyderm_sdk; importlib.reload(pachyderm_sdk)",
    ],
)
def test_the_whole_package_has_the_same_modules(statement: str) -> None:
    """A notebook may ask our `provenance` first, and Pachyderm's own client then."""
    code = f"""
{statement}
import json
whole = pachyderm_sdk
found = [whole.api.pfs is pfs, whole.api.pps is pps, whole.api.debug.__name__, whole.Client.__module__]
print(json.dumps([*found, whole.__spec__.origin == whole.__file__]))
"""
    same = [True, True, "pachyderm_sdk.api.debug", "pachyderm_sdk.client", True]
    assert told(_AS_THE_LAUNCHER + code) == same


def test_a_class_is_made_with_its_first_message_and_once_for_all_threads() -> None:
    code = """
import sys
sys.setswitchinterval(1e-6)
before = [dataclasses.is_dataclass(one) for one in (pfs.Commit, pps.Egress)]
wait, wrong = threading.Barrier(8), []
def make():
    wait.wait()
    for module in modules:
        for name in fields_of[module.__name__]:
            try:
                getattr(module, name)()
            except Exception as error:
                wrong.append(f"{name}: {error!r}")
fields_of = {one.__name__: [name for name, value in vars(one).items() if is_message(value, one)]
             for one in modules}
threads = [threading.Thread(target=make) for _ in range(8)]
[one.start() for one in threads]
[one.join() for one in threads]
print(json.dumps([before, wrong, dataclasses.is_dataclass(pps.Egress)]))
"""
    assert told(_AS_THE_LAUNCHER + _DESCRIBE + code) == [[False, False], [], True]


def test_what_comes_up_while_a_class_is_made_is_passed_on_and_the_class_is_made_later() -> None:
    """A signal handler may raise at any time. Before 3.12 Python wraps that in a RuntimeError here."""
    code = """
original = dataclasses.Field.__set_name__
def once(*_):
    dataclasses.Field.__set_name__ = original
    raise KeyboardInterrupt
dataclasses.Field.__set_name__ = once
try:
    pps.InspectJobRequest()
    met = ""
except BaseException as error:
    met = type(error).__name__
print(json.dumps([met, pps.InspectJobRequest(details=True).details]))
"""
    assert told(_AS_THE_LAUNCHER + _DESCRIBE + code) == ["KeyboardInterrupt", True]


def test_what_is_no_message_has_to_be_refused_as_ever() -> None:
    code = """
try:
    pfs.Commit(nothing=1)
except TypeError as error:
    print(json.dumps(str(error)))
"""
    assert "nothing" in told(_AS_THE_LAUNCHER + _DESCRIBE + code)
