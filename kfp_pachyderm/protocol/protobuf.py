"""Protobuf's wire format by hand: the one place for it.

Why by hand: betterproto, which pachyderm_sdk is made with, takes milliseconds for the message of one commit,
job or small file, copies contents several times, and takes a quarter of a second to import. A history has
thousands of commits, a bucket as many files, and a step waits for its adapter. All else is betterproto's.

Built on it: `pfs_messages` beside this; CommitInfo and JobInfo in `pachd` (`commit_facts`, `job_facts`); what
the embedded Pachyderm reads and answers (`embedded/services`). Encoding: protobuf.dev, "Encoding". Standard
library only.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def head(field_number: int, size: int) -> bytes:
    """What stands before the `size` bytes of a length-delimited field."""
    return varint(field_number << 3 | _BYTES) + varint(size)


def field(field_number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return head(field_number, len(data)) + data


def number(field_number: int, value: int) -> bytes:
    """A field that is a number, an enum or a bool."""
    return varint(field_number << 3) + varint(value)


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


def views(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Number, integer and bytes of each field, of which one means something; contents are not copied.

    Raises:
        ValueError: a field is neither a number nor of a given length.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if key & 7 == _VARINT:
            yield key >> 3, value, data[:0]
        elif key & 7 == _BYTES:
            yield key >> 3, 0, data[at : at + value]
            at += value
        else:
            raise ValueError(f"unexpected wire type {key & 7} of field {key >> 3}")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Every field of a message: its number, and a number or the bytes of a text or message.

    Raises:
        ValueError: it is no message.
    """
    view, at = memoryview(data), 0
    while at < len(data):
        key, at = read_varint(view, at)
        size, kind = 0, key & 7
        if kind == _VARINT:
            value, at = read_varint(view, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = read_varint(view, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"no message of protobuf: wire type {kind}")
        yield key >> 3, data[at : at + size]
        at += size
