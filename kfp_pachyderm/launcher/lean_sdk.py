"""Loads pachyderm_sdk's messages without the modules that betterproto and grpc import and no step uses.

That saves 50 ms of a step. Only the launcher's process does it: no other code runs there that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kfp_pachyderm.fast_import import StandIn, without_asyncio


def load() -> None:
    """Loads `kfp_pachyderm.pachd.sdk`."""
    with (
        without_asyncio(),  # betterproto's stubs import it, too
        StandIn("betterproto._version", __version__=""),  # it imports importlib.metadata
        StandIn("dateutil.parser", isoparse=_isoparse),  # betterproto uses it for JSON only
    ):
        import_module("kfp_pachyderm.pachd.sdk")


def _isoparse(text: str) -> Any:
    return import_module("dateutil.parser").isoparse(text)
