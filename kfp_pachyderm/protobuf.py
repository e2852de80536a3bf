"""Protobuf's wire format, for the few messages that are too many or too large for betterproto.

Encoding: protobuf.dev, "Encoding". Standard library only.
"""

from __future__ import annotations


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
