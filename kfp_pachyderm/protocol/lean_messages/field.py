"""The fields of a message: their kinds, their defaults, how their values are encoded and decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ForwardRef

from kfp_pachyderm.protocol.protobuf import field as delimited
from kfp_pachyderm.protocol.protobuf import fields as parts
from kfp_pachyderm.protocol.protobuf import number as varint_field
from kfp_pachyderm.protocol.protobuf import read_varint, varint

#: Names that generated code uses for the kinds of a map's keys and values.
TYPE_BOOL, TYPE_BYTES, TYPE_INT32, TYPE_INT64 = "bool", "bytes", "int32", "int64"
TYPE_MESSAGE, TYPE_STRING, TYPE_MAP = "message", "string", "map"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIXED = {"double": "<d", "float": "<f"}
_LENGTH = (TYPE_STRING, TYPE_BYTES, TYPE_MESSAGE, TYPE_MAP)
#: Wire types (protobuf.dev, "Encoding"); that of a varint is 0.
_WIRE = {"double": 1, "float": 5}


class Field:
    """One field of a message class: a descriptor that gives the default where a message has no value.

    Args:
        number: its number.
        kind: its kind in protobuf, "map" for a map.
        group: the name of the oneof that it belongs to; None: none.
        wraps: the kind inside of a wrapper like BytesValue, whose value may be None; None: it is no wrapper.
        entry: the kinds of a map's keys and values.
    """

    name: str
    _owner: Any

    def __init__(
        self,
        number: int,
        kind: str,
        group: str | None = None,
        wraps: str | None = None,
        entry: tuple[str, str] = ("", ""),
    ) -> None:
        self.number, self.kind, self.group, self.wraps, self.entry = number, kind, group, wraps, entry
        self._default: Callable[[], Any] | None = None

    def __set_name__(self, owner: Any, name: str) -> None:
        self._owner, self.name = owner, name

    def __get__(self, message: Any, owner: Any) -> Any:
        if message is None:
            return self
        value = message.__dict__[self.name] = self.default()
        return value

    def default(self) -> Any:
        """Returns the value of a field that is not set."""
        self._default = self._default or self._find_default()
        return self._default()

    @property
    def repeated(self) -> bool:
        """Whether its value is a list."""
        return getattr(self._annotation, "__origin__", None) is list

    def encoded(self, value: Any, even_empty: bool) -> bytes:
        """Encodes the field.

        Args:
            value: its value, of the type that its default has.
            even_empty: whether an empty text or message is encoded, too.
        """
        if self.kind == TYPE_MAP:
            return b"".join(map(self._encoded_entry, value.items()))
        if not self.repeated:
            return _encoded(self.number, self.kind, self._raw(value), even_empty or bool(self.wraps))
        if self.kind in _LENGTH:
            return b"".join(_encoded(self.number, self.kind, self._raw(one), True) for one in value)
        return _encoded(self.number, TYPE_BYTES, b"".join(_scalar(self.kind, one) for one in value), False)

    def decoded(self, value: int | bytes) -> list[Any]:
        """Decodes one occurrence of the field: several values of a packed list, else one."""
        if self.kind in _LENGTH or isinstance(value, int):
            return [self._value(value)]
        return list(self._unpacked(value))

    @property
    def _annotation(self) -> Any:
        return self._owner.__annotations__[self.name]

    def _class(self) -> Any:
        """Returns the class of its value, or of its values."""
        found = self._annotation
        while True:
            if isinstance(found, ForwardRef):
                found = found.__forward_arg__
            if isinstance(found, str):
                found = eval(found, self._owner._names)  # noqa: S307 - generated code
            elif inner := getattr(found, "__args__", ()):
                found = inner[-1] if self.kind == TYPE_MAP else inner[0]
            else:
                return found

    def _find_default(self) -> Callable[[], Any]:
        if self.kind == TYPE_MAP:
            return dict
        if self.repeated:
            return list
        if self.wraps:
            return lambda: None
        return self._zero(self.kind)

    def _zero(self, kind: str) -> Callable[[], Any]:
        if kind == TYPE_MESSAGE:
            found = self._class()
            return (lambda: _EPOCH) if found is datetime else found
        return {TYPE_STRING: str, TYPE_BYTES: bytes, TYPE_BOOL: bool, "double": float, "float": float}.get(
            kind, int
        )

    def _raw(self, value: Any) -> bytes:
        """Encodes a value without number and length."""
        if self.kind != TYPE_MESSAGE:
            return _scalar(self.kind, value)
        if isinstance(value, datetime):
            return _moment(int(value.timestamp()), value.microsecond * 1000)
        if isinstance(value, timedelta):
            seconds, rest = divmod(value, timedelta(seconds=1))
            return _moment(seconds, rest.microseconds * 1000)
        if self.wraps:
            raw = _scalar(self.wraps, value)
            return _encoded(1, self.wraps, raw, False) if value else b""
        return bytes(value)

    def _encoded_entry(self, entry: tuple[Any, Any]) -> bytes:
        key, value = entry
        kind = self.entry[1]
        raw = bytes(value) if kind == TYPE_MESSAGE else _scalar(kind, value)
        data = _encoded(1, self.entry[0], _scalar(self.entry[0], key), False) + _encoded(2, kind, raw, False)
        return _encoded(self.number, TYPE_MAP, data, False)

    def _value(self, value: Any) -> Any:
        if self.kind == TYPE_MAP:
            return self._entry(dict(parts(value)))
        if self.wraps:
            found = dict(parts(value)).get(1)
            return self._zero(self.wraps)() if found is None else _read(self.wraps, found)
        return self._message(value) if self.kind == TYPE_MESSAGE else _read(self.kind, value)

    def _entry(self, found: dict[int, Any]) -> tuple[Any, Any]:
        kinds, both = self.entry, []
        for number, kind in enumerate(kinds, 1):
            read = self._message if kind == TYPE_MESSAGE else lambda raw, kind=kind: _read(kind, raw)
            both.append(read(found[number]) if number in found else self._zero(kind)())
        return both[0], both[1]

    def _message(self, data: bytes) -> Any:
        found = self._class()
        if found not in (datetime, timedelta):
            return found.FromString(data)
        read = {number: _read(TYPE_INT64, value) for number, value in parts(data)}
        seconds, nanos = read.get(1, 0), read.get(2, 0)
        if found is datetime:
            return datetime.fromtimestamp(seconds + nanos / 1e9, UTC)
        return timedelta(seconds=seconds, microseconds=nanos / 1e3)

    def _unpacked(self, data: bytes) -> Iterator[Any]:
        if self.kind in _FIXED:
            yield from (value for (value,) in struct.iter_unpack(_FIXED[self.kind], data))
            return
        view, at = memoryview(data), 0
        while at < len(view):
            value, at = read_varint(view, at)
            yield _read(self.kind, value)


def _scalar(kind: str, value: Any) -> bytes:
    """Encodes a value that is no message, without number and length."""
    if kind == TYPE_STRING:
        return bytes(value, "utf-8")
    if kind == TYPE_BYTES:
        return bytes(value)
    if kind in _FIXED:
        return struct.pack(_FIXED[kind], value)
    return varint(int(value) % 2**64)


def _encoded(number: int, kind: str, raw: bytes, even_empty: bool) -> bytes:
    """Puts number and length before an encoded value; an empty text or message is left out."""
    if kind in _LENGTH:
        return delimited(number, raw) if raw or even_empty else b""
    return varint(number << 3 | _WIRE.get(kind, 0)) + raw


def _read(kind: str, value: Any) -> Any:
    """Decodes a value that is no message."""
    if kind == TYPE_STRING:
        return str(value, "utf-8")
    if kind == TYPE_BOOL:
        return value > 0
    if kind in (TYPE_INT32, TYPE_INT64):
        bits = int(kind[3:])
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value
    return value


def _moment(seconds: int, nanos: int) -> bytes:
    """Encodes a Timestamp or a Duration."""
    numbered = ((1, seconds), (2, nanos))
    return b"".join(varint_field(one, value % 2**64) for one, value in numbered if value)
