"""Loads grpc and pachyderm_sdk's messages quickly, for the launcher's process, which waits for them.

The messages are those of `protocol.lean_messages`, not betterproto's. That saves 70 ms of a step.
"""

from __future__ import annotations

import sys
from importlib import import_module

from kfp_pachyderm.fast_import import without_asyncio
from kfp_pachyderm.protocol.lean_messages import generated_by_betterproto

_SDK, _OURS = "pachyderm_sdk", "kfp_pachyderm.pachd.sdk"


def load_grpc() -> None:
    """Loads grpc."""
    with without_asyncio():
        import grpc  # noqa: F401 - only for the import


def load() -> None:
    """Loads grpc and `kfp_pachyderm.pachd.sdk`.

    Where betterproto is loaded already, or the installed pachyderm_sdk needs more of it than a stand-in has,
    the messages are betterproto's.
    """
    load_grpc()
    if "betterproto" not in sys.modules:
        try:
            with generated_by_betterproto():
                import_module(_OURS)
            return
        except (AttributeError, ImportError, TypeError):
            for name in [one for one in sys.modules if one == _OURS or one.partition(".")[0] == _SDK]:
                del sys.modules[name]
    import_module(_OURS)
