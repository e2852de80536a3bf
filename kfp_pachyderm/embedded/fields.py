"""Tells which fields of a betterproto message were set: betterproto fills in the others when it is used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import betterproto


def given(message: Any, name: str) -> Any | None:
    """A message's field if somebody set it, else None."""
    if not message.is_set(name):
        return None
    value = getattr(message, name)
    made = isinstance(value, betterproto.Message) and not betterproto.serialized_on_wire(value)
    return None if made or value == timedelta(0) else value


def has(message: Any, name: str) -> bool:
    """Whether somebody set a message's field."""
    return given(message, name) is not None
