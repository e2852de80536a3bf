"""Encodes and decodes protobuf's wire format by hand. Standard library only.

The reason is speed. betterproto, which pachyderm_sdk is generated with, needs milliseconds for the message of
one commit, job or small file, copies contents several times, and needs a quarter of a second to import. A
history has thousands of commits, a bucket has as many files, and a step waits for its adapter's start. All
other messages are the SDK's: of betterproto, or in the launcher of `lean_messages`.

These modules use it: `pfs_messages` and `lean_messages` in this package; `commit_facts`, `job_facts` and
`files` in `pachd`; `commit_files` in `provenance`; the services of the embedded Pachyderm
(`embedded/services`). The format: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def varint(value: int) -> bytes:
    """Encodes a number as a varint."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def head(field_number: int, size: int) -> bytes:
    """Encodes the head of a length-delimited field, which `size` bytes follow."""
    return varint(field_number << 3 | _BYTES) + varint(size)


def field(field_number: int, data: bytes) -> bytes:
    """Encodes a length-delimited field: a text, bytes or a message."""
    return head(field_number, len(data)) + data


def number(field_number: int, value: int) -> bytes:
    """Encodes a varint field: a number, an enum or a bool."""
    return varint(field_number << 3) + varint(value)


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Decodes the varint at a position; returns it and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fixed_size(kind: int) -> int:
    if kind not in (_FIXED64, _FIXED32):
        raise ValueError(f"no message of protobuf: wire type {kind}")
    return 8 if kind == _FIXED64 else 4


def views(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yields each field of a message, without copying contents.

    Yields:
        For each field its number, its integer value (0 unless it is a varint), and its bytes (empty for a
        varint field).

    Raises:
        ValueError: the data is no protobuf message.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = read_varint(data, at)
            yield key >> 3, value, data[:0]
            continue
        if kind == _BYTES:
            size, at = read_varint(data, at)
        else:
            size = _fixed_size(kind)
        yield key >> 3, 0, data[at : at + size]
        at += size


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields each field of a message.

    Yields:
        For each field its number, and an int for a varint field, else bytes: of a text, a message, or a
        number of fixed size.

    Raises:
        ValueError: the data is no protobuf message.
    """
    view, at = memoryview(data), 0
    while at < len(data):
        key, at = read_varint(view, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = read_varint(view, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = read_varint(view, at)
        else:
            size = _fixed_size(kind)
        yield key >> 3, data[at : at + size]
        at += size
