"""The tasks of wrapped components, and checks of their inputs: commit references and channels of commits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kfp import dsl
from kfp.dsl import pipeline_channel

from kfp_pachyderm.authoring.ir import ADDED, COMMIT
from kfp_pachyderm.errors import CommitReferenceError, PachydermError, SpecError
from kfp_pachyderm.launcher.config import InputConfig

_NAME = r"[a-zA-Z0-9_-]+"
_REFERENCE = re.compile(rf"({_NAME}/)?{_NAME}@(?P<version>{_NAME})")
_COMMIT_ID = re.compile(r"[0-9a-f]{32}")


class SnapshotChannel(pipeline_channel.PipelineParameterChannel):  # type: ignore[misc]
    """An output of the snapshot task, which is made only after the pipeline's body has run.

    Args:
        name: the name of the output.
        task_name: the name that the snapshot task will have, unless the pipeline has a task of that name.
        given: the argument that the step was called with; it replaces the channel in a step that must not
            depend on the snapshot.
        many: whether the output is a list of commits.
    """

    def __init__(self, name: str, task_name: str, given: Any, many: bool = False) -> None:
        super().__init__(name=name, channel_type="List" if many else "String", task_name=task_name)
        self.given = given
        self._made: dsl.PipelineTask | None = None

    @property
    def task(self) -> Any:
        """The snapshot task; None before it is made, so that KFP lets an exit task have such an input."""
        return self._made

    def made_by(self, task: dsl.PipelineTask) -> None:
        """Sets the snapshot task, which has been made now."""
        self._made, self.task_name = task, task.name


class StepOutputs(dict[str, Any]):
    """A step's outputs: iteration yields the original component's; an added one is found by its name only.

    Args:
        outputs: all outputs of the step, the added ones included.
    """

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        super().__init__({name: one for name, one in outputs.items() if name not in ADDED})
        self._added = {name: one for name, one in outputs.items() if name in ADDED}

    def __missing__(self, name: str) -> Any:
        return self._added[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._added

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the output of that name, also an added one."""
        return super().get(name, self._added.get(name, default))


class StepTask(dsl.PipelineTask):  # type: ignore[misc]
    """A task of a wrapped component."""

    #: Whether the task runs also when a task before it failed.
    ignores_failure = False
    #: Whether the task's author may set environment variables.
    takes_environment = True

    @property
    def output(self) -> Any:
        """The single output of the original component."""
        own = list(self.outputs.values())
        return own[0] if len(own) == 1 else super().output

    @property
    def outputs(self) -> StepOutputs:
        """The original component's outputs; `["commit"]` and `["pachyderm"]` are found by name only."""
        return StepOutputs(super().outputs)

    def _repr_html_(self) -> str | None:
        """Returns a card for notebooks of a task that kfp.local ran; None: the notebook shows the `repr`."""
        commit = super().outputs.get(COMMIT)
        if not isinstance(commit, str) or not commit:
            return None
        from kfp_pachyderm.provenance.queries import lineage

        try:
            return lineage(commit, depth=0).nodes[0]._repr_html_()
        except PachydermError:
            return None  # The Pachyderm that the task ran on does not answer any more.

    def set_env_variable(self, name: str, value: str) -> StepTask:
        """Sets a variable, as KFP's method does.

        KFP refuses a variable that the component's `task_config_passthroughs` do not allow. A wrapped
        component always lists the environment, so this method refuses such a variable itself.

        Raises:
            SpecError: the author's `task_config_passthroughs` do not list `dsl.TaskConfigField.ENV`.
        """
        if not self.takes_environment:
            raise SpecError(
                f'Task "{self.name}" sets the environment variable "{name}", but its component\'s '
                "task_config_passthroughs does not list dsl.TaskConfigField.ENV. Add it."
            )
        super().set_env_variable(name, value)
        return self

    def ignore_upstream_failure(self) -> StepTask:
        """Does what KFP's method does, and remembers it."""
        super().ignore_upstream_failure()
        self.ignores_failure = True
        return self


def check_reference(one: InputConfig, value: Any) -> None:
    """Refuses a constant that is not a commit reference; a channel is checked in the run.

    Raises:
        CommitReferenceError: the text is not a commit reference, or the value is a list.
    """
    if isinstance(value, (list, dsl.Collected)):
        raise CommitReferenceError(
            f'Argument for input "{one.name}" is a list, and the input takes one commit. Declare it as '
            f'S3Input("{one.repo}", many=True).'
        )
    if not isinstance(value, str) or not value or pipeline_channel.extract_pipeline_channels_from_any(value):
        return
    if not _REFERENCE.fullmatch(value):
        raise CommitReferenceError(
            f'Argument for input "{one.name}" is no commit reference. Got {value!r}: pass '
            f'"{one.repo}@<branch>", "<project>/{one.repo}@<branch>", "{one.repo}@<commit ID>", or another '
            'step\'s outputs["commit"].'
        )


def qualified(one: InputConfig, project: str, value: str) -> str:
    """Returns the reference with its project; for "" the head of the input's branch."""
    reference = value or f"{one.repo}@{one.branch}"
    return reference if "/" in reference else f"{one.project or project}/{reference}"


def is_commit(value: Any) -> bool:
    """Returns whether the value names a commit, not a branch, by the time when KFP makes the cache key."""
    if isinstance(value, str):
        found = _REFERENCE.fullmatch(value)
        return bool(found and _COMMIT_ID.fullmatch(found["version"]))
    if isinstance(value, list):
        return all(is_commit(one) for one in value)
    if isinstance(value, dsl.Collected):
        return is_commit(value.output)
    if isinstance(value, pipeline_channel.OneOfMixin):
        return all(is_commit(channel) for channel in value.channels)
    if not isinstance(value, pipeline_channel.PipelineParameterChannel):
        return False
    return isinstance(value, SnapshotChannel) or (value.name == COMMIT and isinstance(value.task, StepTask))
