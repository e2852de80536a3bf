"""pachyderm_sdk's messages without what betterproto and grpc load for others: 50 ms of a step.

For the launcher's process alone: there nobody else misses any of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kfp_pachyderm.fast_import import StandIn


def load() -> None:
    """Loads `kfp_pachyderm.pachd.sdk`."""
    with (
        StandIn("asyncio"),  # for betterproto's own stubs, and grpc.aio
        StandIn("grpc.aio"),
        StandIn("betterproto._version", __version__=""),  # which it asks importlib.metadata for
        StandIn("dateutil.parser", isoparse=_isoparse),  # for JSON
    ):
        import_module("kfp_pachyderm.pachd.sdk")


def _isoparse(text: str) -> Any:
    return import_module("dateutil.parser").isoparse(text)
