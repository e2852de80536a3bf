"""Messages and enums, as generated code defines them."""

from __future__ import annotations

import enum
import sys
from typing import Any, ClassVar, Self

from kfp_pachyderm.protocol.lean_messages.field import Field
from kfp_pachyderm.protocol.protobuf import fields


class _Layout:
    """The fields of a message class, found when its first message is made."""

    def __init__(self, cls: type) -> None:
        # copied, as another thread may set the class's layout meanwhile
        self.fields = [one for one in list(vars(cls).values()) if isinstance(one, Field)]
        self.by_name = {one.name: one for one in self.fields}
        self.by_number = {one.number: one for one in self.fields}

    def others(self, field: Field) -> list[str]:
        """Returns the names of the other fields of a field's oneof."""
        return [one.name for one in self.fields if one.group == field.group and one is not field]


class Message:
    """The base class of all messages. A message's values are in its `__dict__`, by their fields' names.

    Args:
        *ordered: values of the first fields.
        **named: values by name.
    """

    _layout: ClassVar[_Layout]
    #: The names that the fields' annotations use.
    _names: ClassVar[dict[str, Any]]
    #: Whether it has been set or received, also without a value; the name is betterproto's.
    _serialized_on_wire: bool
    #: The fields that are set, by the names of their oneofs.
    _chosen: dict[str, str]

    def __init_subclass__(cls) -> None:
        cls._names = vars(sys.modules[cls.__module__])

    def __init__(self, *ordered: Any, **named: Any) -> None:
        layout = self._laid_out()
        if unknown := named.keys() - layout.by_name.keys():
            raise TypeError(f"{type(self).__name__} has no field {min(unknown)!r}")
        values = {**dict(zip(layout.by_name, ordered, strict=False)), **named}
        vars(self).update(values, _serialized_on_wire=bool(values), _chosen={})
        self._chosen.update(
            (one.group, one.name) for one in layout.fields if one.group and one.name in values
        )

    @classmethod
    def _laid_out(cls) -> _Layout:
        if "_layout" not in vars(cls):
            cls._layout = _Layout(cls)
        return cls._layout

    def __setattr__(self, name: str, value: Any) -> None:
        layout, state = self._layout, vars(self)
        field = layout.by_name.get(name)
        if field:
            state["_serialized_on_wire"] = True
            if isinstance(value, Message) and not value._layout.fields:
                value._serialized_on_wire = True
            if field.group:
                self._chosen[field.group] = name
                for other in layout.others(field):
                    state.pop(other, None)
        state[name] = value

    def __bytes__(self) -> bytes:
        return b"".join(self._encoded())

    SerializeToString = __bytes__

    def _encoded(self) -> Any:
        state = vars(self)
        for field in self._layout.fields:
            value = state.get(field.name)
            if value is None:
                continue
            sent = field.group is not None and self._chosen.get(field.group) == field.name
            if isinstance(value, Message):
                sent = sent or value._serialized_on_wire
            if sent or _says_something(field, value):
                yield field.encoded(value, sent)

    def parse(self, data: bytes) -> Self:
        """Decodes a message into this one, and returns it. Unknown fields are left out."""
        state, layout = vars(self), self._layout
        state["_serialized_on_wire"] = True
        for number, value in fields(data):
            field = layout.by_number.get(number)
            if field is None:
                continue
            found = field.decoded(value)
            if field.repeated:
                getattr(self, field.name).extend(found)
            elif field.kind == "map":
                getattr(self, field.name).update(found)
            else:
                setattr(self, field.name, found[0])
        return self

    @classmethod
    def FromString(cls, data: bytes) -> Self:
        """Decodes a message."""
        return cls().parse(data)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        mine, others = vars(self), vars(other)
        return all(
            getattr(self, one.name) == getattr(other, one.name)
            for one in self._layout.fields
            if one.name in mine or one.name in others
        )

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        state = vars(self)
        return any(_says_something(one, state[one.name]) for one in self._layout.fields if one.name in state)

    def __repr__(self) -> str:
        state = vars(self)
        shown = [f"{one.name}={state[one.name]!r}" for one in self._layout.fields if one.name in state]
        return f"{type(self).__name__}({', '.join(shown)})"


def _says_something(field: Field, value: Any) -> bool:
    """Tells whether a value is not the field's default."""
    return bool(value) if isinstance(value, Message) else bool(value != field.default())


class _EnumType(type):
    """Makes an `enum.IntEnum` of a class when it is used: most of the SDK's enums never are in a step."""

    def _made(cls) -> Any:
        if "_enum" not in vars(cls):
            members = {name: value for name, value in list(vars(cls).items()) if not name.startswith("_")}
            cls._enum: Any = enum.IntEnum(cls.__name__, members, module=cls.__module__)  # type: ignore[misc]
        return cls._enum

    def __call__(cls, value: int) -> Any:
        return cls._made()(value)

    def __iter__(cls) -> Any:
        return iter(cls._made())

    def __getitem__(cls, name: str) -> Any:
        return cls._made()[name]

    def __getattribute__(cls, name: str) -> Any:
        if name.startswith("_"):
            return super().__getattribute__(name)
        return getattr(cls._made(), name)


class Enum(metaclass=_EnumType):
    """The base class of all enums. A message's value of an enum is a number."""
