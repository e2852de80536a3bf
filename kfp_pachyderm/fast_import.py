"""Makes the imports of the launcher and of the adapter faster: a step waits for both processes.

It imports little of the standard library and nothing else. It stands at the root of the package because two
rooms use it, `launcher` and `adapter`.
"""

from __future__ import annotations

import _thread
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

TYPE_CHECKING = False  # see kfp_pachyderm/__init__.py
if TYPE_CHECKING:
    from typing import Any


@contextmanager
def uncollected() -> Iterator[None]:
    """Switches the garbage collector off while modules are imported.

    Imported objects stay. Collections during the imports find no garbage and take a tenth of the time.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if before:
            gc.enable()


_taking_away = _thread.RLock()


class StandIn(ModuleType):
    """Stands for a module that libraries import and a step does not use. It is a context manager.

    Inside the context, an import of the module gives this object. After it, an import loads the real module.
    Whatever needs more than the attributes that were given loads the real module, too, and is done to that:
    reading, setting or deleting another attribute, listing them, an import of a module below it.

    Args:
        name: the module's name.
        attributes: attributes that need no loading; they answer as the module's own.
    """

    def __init__(self, name: str, **attributes: object) -> None:
        super().__init__(name)
        # `importlib.util.find_spec` fails where a loaded module has none
        vars(self).update(attributes, __spec__=ModuleSpec(name, None), _parent=None)

    def __enter__(self) -> None:
        if sys.modules.setdefault(self.__name__, self) is self:
            # as an import does: `import importlib.metadata` gives the name `importlib`
            package, _, name = self.__name__.rpartition(".")
            vars(self)["_parent"] = parent = sys.modules.get(package)
            if parent:
                vars(parent).setdefault(name, self)

    def __exit__(self, *_: object) -> None:
        # two threads may need the module for the first time at once, or a signal's handler within this
        with _taking_away:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
                parent, name = vars(self)["_parent"], self.__name__.rpartition(".")[2]
                if parent and vars(parent).get(name) is self:
                    delattr(parent, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__all__", "__file__", "__path__"):
            raise AttributeError(name)
        try:
            found = getattr(real(self.__name__), name)
        except ImportError:
            if name != "__file__":
                raise
            # not every Python has bz2 and lzma; `inspect` asks each module whether it has a file
            raise AttributeError(name) from None
        if name == "__path__" and _Loaded not in sys.meta_path:
            sys.meta_path.insert(0, _Loaded)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        setattr(real(self.__name__), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(real(self.__name__), name)

    def __dir__(self) -> list[str]:
        return dir(real(self.__name__))


def real(name: str) -> ModuleType:
    """Loads a module, also where another one stands in for it."""
    found = import_module(name)
    while isinstance(found, StandIn):
        found.__exit__()
        found = import_module(name)
    return found


class _Loaded:
    """Finds modules that are loaded already, for `import asyncio.events` where asyncio is a stand-in.

    Python asks the stand-in for its path. That loads asyncio, and asyncio loads asyncio.events. Python does
    not look for it again, and would load it a second time.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        loader: Any = _Loaded
        return ModuleSpec(name, loader) if name in sys.modules and target is None else None

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        module = sys.modules[spec.name]
        spec.loader_state = module.__spec__
        return module

    @staticmethod
    def exec_module(module: Any) -> None:
        module.__spec__ = module.__spec__.loader_state


#: Seconds after which a thread lets another one go on, whose answer or request has come. Python's own 5 ms
#: are longer than most calls take.
SWITCH = 0.0005


def prepare() -> None:
    """Makes this process's imports faster from now on. Only a step's own processes call it, first of all."""
    sys.setswitchinterval(SWITCH)
    _leave_out()
    from kfp_pachyderm import light_dataclass

    light_dataclass.install()


def _leave_out() -> None:
    """Lets modules that the standard library and grpc import stand in until something uses them: 6 ms.

    `dataclasses` asks `inspect` for nothing else than a class's annotations (since Python 3.12), and for the
    signature of a class without a docstring. `logging` and grpc print exceptions by `traceback`. `subprocess`
    asks `locale` for the encoding of texts, `urllib.parse` asks `ipaddress` about hosts in brackets, and
    `shutil`, which `tempfile` needs, only looks whether there are `bz2` and `lzma`.
    """
    for one in (
        StandIn("inspect", get_annotations=_class_annotations),
        *map(StandIn, ("bz2", "ipaddress", "locale", "lzma", "traceback")),
    ):
        sys.modules.setdefault(one.__name__, one)


def _class_annotations(of: Any, **options: Any) -> Any:
    """Answers for `inspect.get_annotations` what `dataclasses` asks; the real one answers the rest."""
    if isinstance(of, type) and not options:
        return dict(of.__annotations__)
    return real("inspect").get_annotations(of, **options)


@contextmanager
def without_asyncio() -> Iterator[None]:
    """Imports grpc without asyncio and grpc.aio: they take half of its time, and no step uses them."""
    with StandIn("asyncio"), StandIn("grpc.aio"):
        yield
