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
    Reading an attribute that was not given loads the real module, too.

    Args:
        name: the module's name.
        attributes: attributes that need no loading.
    """

    def __init__(self, name: str, **attributes: object) -> None:
        super().__init__(name)
        vars(self).update(attributes)

    def __enter__(self) -> None:
        sys.modules.setdefault(self.__name__, self)

    def __exit__(self, *_: object) -> None:
        # two threads may need the module for the first time at once, or a signal's handler within this
        with _taking_away:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__all__", "__file__"):
            raise AttributeError(name)
        self.__exit__()
        return getattr(import_module(self.__name__), name)


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
    sys.modules["inspect"].signature  # noqa: B018 - loads the real module
    return sys.modules["inspect"].get_annotations(of, **options)


@contextmanager
def without_asyncio() -> Iterator[None]:
    """Imports grpc without asyncio and grpc.aio: they take half of its time, and no step uses them."""
    with StandIn("asyncio"), StandIn("grpc.aio"):
        yield
