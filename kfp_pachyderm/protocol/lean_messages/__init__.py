"""The messages of code that betterproto has generated, in little Python. Standard library only.

pachyderm_sdk's messages are such code. betterproto takes 20 ms of a step to import, and the first message of
each class another millisecond. Within `generated_by_betterproto` the generated code gets the classes of this
package in place of betterproto's. They have the same fields and encode to the same bytes. What is missing:
JSON, `which_one_of`, warnings of deprecated fields; unknown fields are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from kfp_pachyderm.protocol.lean_messages.field import (
    TYPE_BOOL,
    TYPE_BYTES,
    TYPE_INT64,
    TYPE_MAP,
    TYPE_MESSAGE,
    TYPE_STRING,
    Field,
)
from kfp_pachyderm.protocol.lean_messages.message import Enum, Message

__all__ = ["Message", "generated_by_betterproto"]

#: The kinds of pachyderm_sdk's fields.
_KINDS = (
    "bool",
    "bytes",
    "double",
    "enum",
    "float",
    "int32",
    "int64",
    "message",
    "string",
    "uint32",
    "uint64",
)


class Empty(Message):
    """google.protobuf.Empty."""


class Packed(Message):
    """google.protobuf.Any."""

    type_url: str = Field(1, TYPE_STRING)  # type: ignore[assignment]
    value: bytes = Field(2, TYPE_BYTES)  # type: ignore[assignment]


class BytesValue(Message):
    """google.protobuf.BytesValue."""

    value: bytes = Field(1, TYPE_BYTES)  # type: ignore[assignment]


def _of_kind(kind: str) -> Callable[..., Field]:
    def make(number: int, group: str | None = None, wraps: str | None = None) -> Field:
        return Field(number, kind, group, wraps)

    return make


def _map_field(number: int, key: str, value: str) -> Field:
    return Field(number, TYPE_MAP, entry=(key, value))


def _serialized_on_wire(message: Message) -> bool:
    return message._serialized_on_wire


def _module(name: str, **names: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(names)
    return made


def _modules() -> Iterator[ModuleType]:
    """Yields what stands for the package and the packages below it."""
    google = _module("betterproto.lib.google.protobuf", Any=Packed, BytesValue=BytesValue, Empty=Empty)
    below = _module("betterproto.lib.google", protobuf=google)
    lib = _module("betterproto.lib", google=below)
    makers = {f"{kind}_field": _of_kind(kind) for kind in _KINDS}
    kinds = {
        f"TYPE_{kind.upper()}": kind
        for kind in (TYPE_BOOL, TYPE_BYTES, TYPE_INT64, TYPE_MESSAGE, TYPE_STRING)
    }
    yield _module(
        "betterproto",
        lib=lib,
        Enum=Enum,
        Message=Message,
        map_field=_map_field,
        serialized_on_wire=_serialized_on_wire,
        **makers,
        **kinds,
    )
    yield from (lib, below, google)


@contextmanager
def generated_by_betterproto() -> Iterator[None]:
    """Within the block, generated code that imports betterproto gets these messages."""
    made = {one.__name__: one for one in _modules()}
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]
