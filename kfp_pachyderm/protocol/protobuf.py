"""Protobuf's wire format, for the few messages that are too many or too large for betterproto.

Encoding: protobuf.dev, "Encoding". Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def head(number: int, size: int) -> bytes:
    """What stands before the `size` bytes of a length-delimited field."""
    return varint(number << 3 | 2) + varint(size)


def field(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return head(number, len(data)) + data


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Every field of a message: its number, and a number or the bytes of a text or message.

    Raises:
        ValueError: it is no message.
    """
    view, at = memoryview(data), 0
    while at < len(data):
        key, at = read_varint(view, at)
        size, kind = 0, key & 7
        if kind == 0:
            number, at = read_varint(view, at)
            yield key >> 3, number
            continue
        if kind == 2:
            size, at = read_varint(view, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"no message of protobuf: wire type {kind}")
        yield key >> 3, data[at : at + size]
        at += size
