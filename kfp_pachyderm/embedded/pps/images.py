"""Images that can't be pulled: those of a registry below `.invalid`, a domain that never exists (RFC 2606).

All other images are kept in the spec and not run. If an image can't be pulled, Pachyderm makes the pipeline
CRASHING, with the kubelet's message about its pod (src/server/pps/server/poller.go, pollPipelinePods). Two
messages take turns (kubernetes pkg/kubelet/images/image_manager.go, EnsureImageExists).
"""

from __future__ import annotations

import time

#: Seconds for which the kubelet keeps to one message.
_TURN = 2.0


def can_be_had(image: str) -> bool:
    """Whether a worker could pull the image."""
    registry, slash, _ = image.partition("/")
    return not (slash and registry.partition(":")[0].endswith(".invalid"))


def problem(image: str) -> str:
    """The kubelet's present message about an image that can't be pulled."""
    if int(time.monotonic() / _TURN) % 2:
        return f'Back-off pulling image "{image}"'
    registry = image.partition("/")[0]
    return (
        f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
        f'failed to do request: Head "https://{registry}/v2/": dial tcp: lookup {registry}: no such host'
    )
