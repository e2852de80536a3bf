"""Imports pachyderm_sdk's messages and generated stubs quickly.

`import pachyderm_sdk` takes 0.2 s, half of it for modules that a step never uses (requests, Crypto, debug,
cdr). So this module loads the SDK's message modules without running the package's own `__init__`. Afterwards
it removes the bare package from `sys.modules`: a later `import pachyderm_sdk` loads the whole package, with
the same message modules. A step uses only a few of the 350 message classes, so each becomes a dataclass when
its first message is made.
"""

from __future__ import annotations

import dataclasses
import importlib.machinery
import importlib.util
import inspect
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from kfp_pachyderm.protocol import lean_messages

_NAME, _API = "pachyderm_sdk", "pachyderm_sdk.api"
_making = threading.RLock()
#: Message class that is no dataclass yet → the function that makes it one.
_put_off: dict[type, Callable[[], object]] = {}


def _bare_package() -> types.ModuleType:
    found = importlib.machinery.PathFinder.find_spec(_NAME)
    if found is None or found.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {_NAME!r}: pip install pachyderm-sdk", name=_NAME)
    package = types.ModuleType(_NAME)
    package.__path__ = list(found.submodule_search_locations)
    return package


class _WholePackage(importlib.machinery.SourceFileLoader):
    """Loads the package as ever, and as a finder tells Python so.

    Python gives a package the name of a module below it when it loads that module, and `api` is loaded.
    """

    @classmethod
    def find_spec(
        cls, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _NAME or _API not in sys.modules:
            return None
        found = importlib.machinery.PathFinder.find_spec(name)
        if found and found.origin:
            found.loader = cls(name, found.origin)
        return found

    def exec_module(self, module: types.ModuleType) -> None:
        vars(module)["api"] = sys.modules[_API]
        super().exec_module(module)


def _evaluate_annotations_once() -> None:
    # betterproto 2.0.0b6 evaluates all annotations of a class again for each of its fields: 40 ms for each
    # step
    hints = vars(betterproto.Message).get("_type_hints")
    if isinstance(hints, classmethod):
        betterproto.Message._type_hints = classmethod(cache(hints.__func__))  # type: ignore[arg-type]


@contextmanager
def _dataclasses_when_used() -> Iterator[None]:
    """Within the block, `@dataclass` on a message class is postponed until its first message is made."""
    original = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        if cls is None:
            return lambda decorated: dataclass(decorated, **options)
        if issubclass(cls, lean_messages.Message):
            return cls
        if not _can_wait(cls):
            return original(cls, **options)
        _put_off[cls] = lambda: _become(cls, original, options)
        return cls

    dataclasses.dataclass = dataclass
    try:
        yield
    finally:
        dataclasses.dataclass = original


def _can_wait(cls: type) -> bool:
    message: Any = getattr(sys.modules.get("betterproto"), "Message", None)
    if message is None or not issubclass(cls, message):
        return False
    if "__init__" not in vars(message):
        message.__init__ = _first_init
    return vars(message)["__init__"] is _first_init  # else it is another betterproto


def _become(cls: type, dataclass: Any, options: dict[str, Any]) -> None:
    """Makes the class a dataclass.

    It sets `__init__` last, because other threads must not make messages of a half-finished class.
    """
    given = {name: value for name, value in vars(cls).items() if isinstance(value, dataclasses.Field)}
    # a dataclass without a docstring gets its signature as one, and making that takes half of the time
    own = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__name__}
    typed = {"__annotations__": inspect.get_annotations(cls)}
    try:
        made = dataclass(type(cls.__name__, (cls,), {**own, **typed, **given}), **options)
    except RuntimeError as error:
        # before Python 3.12 an exception inside `__set_name__`, also a signal handler's, is wrapped
        raise error.__cause__ or error from None
    for name in given:
        setattr(cls, name, vars(made)[name])
    for name in ("__dataclass_params__", "__match_args__", "__dataclass_fields__", "__init__"):
        setattr(cls, name, vars(made)[name])


def _first_init(message: Any, *args: Any, **fields: Any) -> None:
    """The `__init__` of a message class that is no dataclass yet: makes it one, and calls the new one."""
    cls = type(message)
    with _making:
        for one in cls.__mro__:
            if one in _put_off:
                _put_off[one]()
                del _put_off[one]
    found = object.__init__ if cls.__init__ is _first_init else cls.__init__
    found(message, *args, **fields)


_loaded = sys.modules.get(_NAME)
if _loaded is None:
    sys.modules[_NAME] = _bare_package()
try:
    with _dataclasses_when_used():
        # imported first: Google's messages, which it loads, are postponed as well
        import betterproto
        from betterproto import serialized_on_wire

        _evaluate_annotations_once()
        from pachyderm_sdk.api import admin, auth, metadata, pfs, pps, transaction, version
finally:
    if _loaded is None:
        del sys.modules[_NAME]
        sys.meta_path.insert(0, _WholePackage)

__all__ = ["admin", "auth", "metadata", "pfs", "pps", "serialized_on_wire", "transaction", "version"]
