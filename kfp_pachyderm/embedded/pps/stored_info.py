"""The messages of pipelines as they are stored, for reading only.

Each is parsed once, because betterproto takes milliseconds for it.
"""

from __future__ import annotations

from functools import lru_cache

from pachyderm_sdk.api import pps


@lru_cache(256)
def shared(encoded: bytes) -> pps.PipelineInfo:
    """Returns a stored PipelineInfo; nobody may change it."""
    return pps.PipelineInfo().parse(encoded)
