"""Texts that Pachyderm takes: without characters that it refuses, and short enough for each of its calls."""

from __future__ import annotations

#: The most characters of a reason. A holder takes calls of 64 KiB, and a character may take 12 bytes of JSON;
#: pachd takes calls of 20 MiB (src/internal/grpcutil).
REASON = 4000


def storable(text: str) -> str:
    """Replaces characters that protobuf (single surrogates) or Postgres (NUL) would always refuse."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def brief(reason: str) -> str:
    """Returns the first `REASON` characters of a reason, as Pachyderm can store them."""
    return storable(reason[:REASON])
