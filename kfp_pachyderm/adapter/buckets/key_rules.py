"""Checks that Pachyderm accepts a key as a file name (its src/internal/storage/paths.go), before a write."""

from __future__ import annotations

import re

from kfp_pachyderm.s3.errors import S3Error

_LONGEST = 1024
_PRINTABLE = re.compile(r"[ -~]+")
_GLOBS = "*?[]{}!()@+^"


def is_marker(key: str) -> bool:
    """Tells whether the key is a directory marker. The step sees markers; Pachyderm does not get them."""
    return key.endswith("/")


def _refuse(key: str, why: str) -> None:
    raise S3Error(
        "InvalidArgument",
        f"Pachyderm can't hold a file called {key!r}: {why}; choose another key, or have such keys encoded: "
        's3_enabled(keys="encode")',
    )


def check_key(key: str, encoded: bool) -> None:
    """Refuses a key that could not be written into the output commit.

    Args:
        key: the key.
        encoded: whether keys are encoded for Pachyderm, which then accepts every key.

    Raises:
        S3Error: InvalidArgument or KeyTooLongError, with the reason.
    """
    if len(key.encode()) > _LONGEST:
        raise S3Error("KeyTooLongError")
    if encoded:
        return
    if not _PRINTABLE.fullmatch(key):
        _refuse(key, "only printable ASCII characters are allowed")
    bad = sorted(set(key) & set(_GLOBS))
    if bad:
        _refuse(key, f"{' '.join(bad)} can't be part of a path")
    if any(part in ("", ".", "..") for part in key.removesuffix("/").split("/")):
        _refuse(key, 'an element of the path is empty, "." or ".."')


def parents(key: str) -> list[str]:
    """Returns the directories that the key's file lies in, outermost first."""
    parts = key.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
