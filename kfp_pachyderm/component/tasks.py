"""Tasks of wrapped components, and what their inputs may hold: commit references and channels of commits."""

from __future__ import annotations

import re
from typing import Any

from kfp import dsl
from kfp.dsl import pipeline_channel

from kfp_pachyderm.component.ir import COMMIT, RECORD
from kfp_pachyderm.errors import CommitReferenceError
from kfp_pachyderm.launcher.config import InputConfig

_NAME = r"[a-zA-Z0-9_-]+"
_REFERENCE = re.compile(rf"({_NAME}/)?{_NAME}@(?P<version>{_NAME})")
_COMMIT_ID = re.compile(r"[0-9a-f]{32}")


class SnapshotChannel(pipeline_channel.PipelineParameterChannel):  # type: ignore[misc]
    """An output of the snapshot task, which is made only after the pipeline's body has run.

    Args:
        name: the output.
        task_name: the snapshot task.
        given: what the step was called with; it stands again if the snapshot can't come before the step.
    """

    def __init__(self, name: str, task_name: str, given: Any) -> None:
        super().__init__(name=name, channel_type="String", task_name=task_name)
        self.given = given

    @property
    def task(self) -> Any:
        """The snapshot task; None while there is none, so that KFP lets an exit task have such an input."""
        return self.pipeline.tasks.get(self.task_name) if self.pipeline else None


class StepTask(dsl.PipelineTask):  # type: ignore[misc]
    """A task of a wrapped component: `.output` is what it is without the outputs that the wrapping adds."""

    @property
    def output(self) -> Any:
        """The single output of the original component."""
        own = [value for name, value in self.outputs.items() if name not in (COMMIT, RECORD)]
        return own[0] if len(own) == 1 else super().output


def check_reference(one: InputConfig, value: Any) -> None:
    """Refuses a constant that is no commit reference.

    Raises:
        CommitReferenceError: the text can't be read.
    """
    if not isinstance(value, str) or not value or pipeline_channel.extract_pipeline_channels_from_any(value):
        return
    if not _REFERENCE.fullmatch(value):
        raise CommitReferenceError(
            f'Argument for input "{one.name}" is no commit reference. Got {value!r}: pass '
            f'"{one.repo}@<branch>", "<project>/{one.repo}@<branch>", "{one.repo}@<commit ID>", or another '
            'step\'s outputs["commit"].'
        )


def qualified(one: InputConfig, project: str, value: str) -> str:
    """The reference with its project; an empty one is the head of the input's branch."""
    reference = value or f"{one.repo}@{one.branch}"
    return reference if "/" in reference else f"{one.project or project}/{reference}"


def is_commit(value: Any) -> bool:
    """Whether the value is a commit when the run decides about caching, whatever the branches do."""
    if isinstance(value, str):
        found = _REFERENCE.fullmatch(value)
        return bool(found and _COMMIT_ID.fullmatch(found["version"]))
    if isinstance(value, pipeline_channel.OneOfMixin):
        return all(is_commit(channel) for channel in value.channels)
    if not isinstance(value, pipeline_channel.PipelineParameterChannel):
        return False
    return isinstance(value, SnapshotChannel) or (value.name == COMMIT and isinstance(value.task, StepTask))
