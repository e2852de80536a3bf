"""The bootstrap calls `start`: it installs the launcher's dependencies, then runs the launcher.

The bootstrap's text is in pipelines that were compiled long ago: it must find `start` and `leave` here. This
module imports the standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec

from kfp_pachyderm.launcher.__main__ import leave, main

__all__ = ["leave", "start"]

#: The dependencies inside a step: distribution → module. The package's metadata has their versions.
NEEDED = {"anycrc": "anycrc", "cheroot": "cheroot", "pachyderm-sdk": "pachyderm_sdk"}


def start(argv: list[str], install: Callable[..., None], fresh: bool) -> int:
    """Runs the launcher, with its dependencies installed where they are missing.

    Args:
        argv: the launcher's arguments.
        install: installs requirements into the private folder, which comes first on the path.
        fresh: whether the launcher itself was installed into that folder. Then the image's own packages are
            the user's, and may be of any version.

    Returns:
        The step's exit code.
    """
    if fresh or not all(map(_is_there, NEEDED.values())):
        install(*requirements())
    return main(argv)


def requirements() -> list[str]:
    """Returns the dependencies inside a step, with versions, as pip takes them."""
    from importlib import metadata  # its import takes longer than the rest of the start

    return [one for one in metadata.requires("kfp-pachyderm") or () if _name(one) in NEEDED]


def _is_there(module: str) -> bool:
    """Tells whether a module is installed; a left-over folder without code has no origin."""
    found = find_spec(module)
    return found is not None and found.origin is not None


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return found[0] if found else ""
