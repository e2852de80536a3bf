"""Why a pipeline does not run, in as few words as that takes, and what to do about an image."""

from __future__ import annotations

import time
from collections import Counter

from kfp_pachyderm.pachd.pipeline_plan import OWNER, OWNER_KEY
from kfp_pachyderm.pachd.sdk import pps

#: Seconds that a crashing pipeline gets to recover (an image that is pulled again, a node that comes up).
CRASH_GRACE = 120.0
_States = pps.PipelineState


def times(seen: Counter[str]) -> str:
    """Each reason with how often it was seen, the first one first."""
    if len(seen) < 2:
        return "".join(seen)
    return "; ".join(f"{reason} ({count} times)" for reason, count in seen.items())


def can_not_run(pipeline: pps.PipelineInfo) -> bool:
    """Whether no job of the pipeline would run just now."""
    return pipeline.state in (_States.PIPELINE_CRASHING, _States.PIPELINE_FAILURE)


class Crashes:
    """What a pipeline says while it does not run.

    Attributes:
        since: `time.monotonic()` since which it does not; 0 when it runs.
        over: whether it had time enough to recover.
    """

    def __init__(self) -> None:
        self.since, self.over = 0.0, False
        self._seen = Counter[str]()
        self._image = self._advice = ""

    def add(self, pipeline: pps.PipelineInfo) -> bool:
        """Takes the pipeline as it is now; whether it has to be described, too."""
        if not can_not_run(pipeline):
            self.since = 0.0
            return False
        self.since = self.since or time.monotonic()
        failed = pipeline.state == _States.PIPELINE_FAILURE
        self.over = failed or time.monotonic() - self.since > CRASH_GRACE
        self._seen[pipeline.reason] += 1
        return not self._advice

    def describe(self, pipeline: pps.PipelineInfo) -> None:
        """Takes the pipeline with its details."""
        self._image = pipeline.details.transform.image
        ours = pipeline.details.metadata.annotations.get(OWNER_KEY) == OWNER
        self._advice = _OURS if ours else _THEIRS

    def __str__(self) -> str:
        said = times(self._seen)
        # the kubelet says the image in each of its texts about one, not always as the spec does
        named = self._image and any(
            self._image in text or ("image" in text.lower() and _bare(self._image) in text)
            for text in self._seen
        )
        return f"{said}; the image {self._image!r} can't be had there: {self._advice}" if named else said


_OURS = (
    "it is that of the step's holder, any image with Python 3; set another for this step by "
    "s3_enabled(holder=HolderOptions(image=...)), for all steps of the namespace by the key holder_image of "
    "its ConfigMap kfp-pachyderm, or by the step's variable KFP_PACHYDERM_HOLDER_IMAGE"
)
_THEIRS = "it is set by transform.image in the pipeline's spec"


def _bare(image: str) -> str:
    """The image without registry, tag and digest."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]
