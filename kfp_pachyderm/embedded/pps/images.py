"""Images that can't be had: those of a registry below `.invalid`, a domain that nobody ever has (RFC 2606).

All other images are kept in the spec and not run. Where one can't be had, Pachyderm makes the pipeline
CRASHING, with whatever the kubelet says of its pod (src/server/pps/server/poller.go, pollPipelinePods): two
texts that take turns (kubernetes pkg/kubelet/images/image_manager.go, EnsureImageExists).
"""

from __future__ import annotations

import time

#: Seconds until the other text.
_TURN = 2.0


def can_be_had(image: str) -> bool:
    """Whether a worker could run it."""
    registry, slash, _ = image.partition("/")
    return not (slash and registry.partition(":")[0].endswith(".invalid"))


def problem(image: str) -> str:
    """What the kubelet says just now of an image that can't be had."""
    if int(time.monotonic() / _TURN) % 2:
        return f'Back-off pulling image "{image}"'
    registry = image.partition("/")[0]
    return (
        f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
        f'failed to do request: Head "https://{registry}/v2/": dial tcp: lookup {registry}: no such host'
    )
