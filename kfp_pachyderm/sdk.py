"""pachyderm_sdk's messages and generated stubs, quickly.

`import pachyderm_sdk` costs 0.2 s, half of it for what a step never uses (requests, Crypto, debug, cdr).
So the package's own `__init__` is left out while its message modules are loaded; afterwards the name is free
again, and a later `import pachyderm_sdk` gets the whole package, with these very modules.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from functools import cache

import betterproto

_NAME = "pachyderm_sdk"


def _bare_package() -> types.ModuleType:
    found = importlib.machinery.PathFinder.find_spec(_NAME)
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {_NAME!r}: pip install pachyderm-sdk", name=_NAME)
    package = types.ModuleType(_NAME)
    package.__path__ = list(found.submodule_search_locations)
    return package


def _evaluate_annotations_once() -> None:
    # betterproto 2.0.0b6 evaluates all annotations of a class anew for each of its fields: 40 ms a step.
    hints = vars(betterproto.Message).get("_type_hints")
    if isinstance(hints, classmethod):
        betterproto.Message._type_hints = classmethod(cache(hints.__func__))  # type: ignore[arg-type]


_evaluate_annotations_once()
_loaded = sys.modules.get(_NAME)
if _loaded is None:
    sys.modules[_NAME] = _bare_package()
try:
    from pachyderm_sdk.api import admin, auth, metadata, pfs, pps, transaction, version
finally:
    if _loaded is None:
        del sys.modules[_NAME]

__all__ = ["admin", "auth", "metadata", "pfs", "pps", "transaction", "version"]
