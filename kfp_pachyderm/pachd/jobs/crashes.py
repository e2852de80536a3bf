"""Collects why a pipeline does not run, for a short message, with advice when its image is the reason."""

from __future__ import annotations

import time
from collections import Counter

from kfp_pachyderm.pachd.pipeline_plan import is_of_step
from kfp_pachyderm.pachd.sdk import pps

#: Seconds that a crashing pipeline gets to recover: an image is pulled again, or a node starts.
CRASH_GRACE = 120.0
_States = pps.PipelineState


def times(seen: Counter[str]) -> str:
    """Returns the reasons as a text, each with how often it was seen, in the order of their first time."""
    if len(seen) < 2:
        return "".join(seen)
    return "; ".join(f"{reason} ({count} times)" for reason, count in seen.items())


def can_not_run(pipeline: pps.PipelineInfo) -> bool:
    """Tells whether the pipeline is crashing or has failed, so that none of its jobs runs."""
    return pipeline.state in (_States.PIPELINE_CRASHING, _States.PIPELINE_FAILURE)


class Crashes:
    """The reasons that a pipeline gives while it does not run.

    Attributes:
        since: `time.monotonic()` when it was first seen not to run; 0 while it runs.
        over: whether the pipeline failed, or has crashed for longer than CRASH_GRACE.
    """

    def __init__(self) -> None:
        self.since, self.over = 0.0, False
        self._seen = Counter[str]()
        self._image = self._advice = ""

    def add(self, pipeline: pps.PipelineInfo) -> bool:
        """Takes the pipeline's current state; tells whether `describe` has to be called, too."""
        if not can_not_run(pipeline):
            self.since = 0.0
            return False
        self.since = self.since or time.monotonic()
        failed = pipeline.state == _States.PIPELINE_FAILURE
        self.over = failed or time.monotonic() - self.since > CRASH_GRACE
        self._seen[pipeline.reason] += 1
        return not self._advice

    def describe(self, pipeline: pps.PipelineInfo) -> None:
        """Takes the pipeline with its details, for the advice on its image."""
        self._image = pipeline.details.transform.image
        self._advice = _OURS if is_of_step(pipeline) else _THEIRS

    def __str__(self) -> str:
        said = times(self._seen)
        # the kubelet names the image in each of its texts about one, not always spelled as in the spec
        named = self._image and any(
            self._image in text or ("image" in text.lower() and _bare(self._image) in text)
            for text in self._seen
        )
        return f"{said}; the cluster can't pull the image {self._image!r}: {self._advice}" if named else said


_OURS = (
    "it is the image of the step's holder, which needs Python 3; set another for this step by "
    "s3_enabled(holder=HolderOptions(image=...)), for all steps of the namespace by the key holder_image of "
    "its ConfigMap kfp-pachyderm, or by the step's variable KFP_PACHYDERM_HOLDER_IMAGE"
)
_THEIRS = "it is set by transform.image in the pipeline's spec"


def _bare(image: str) -> str:
    """Returns the image's name without registry, tag and digest."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]
