"""Tasks of wrapped components, and what their inputs may hold: commit references and channels of commits."""

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
        name: the output.
        task_name: what the snapshot task will be called, unless the pipeline has a task of that name.
        given: what the step was called with; it stands again if the snapshot can't come before the step.
        many: whether it is a list of commits.
    """

    def __init__(self, name: str, task_name: str, given: Any, many: bool = False) -> None:
        super().__init__(name=name, channel_type="List" if many else "String", task_name=task_name)
        self.given = given
        self._made: dsl.PipelineTask | None = None

    @property
    def task(self) -> Any:
        """The snapshot task; None while there is none, so that KFP lets an exit task have such an input."""
        return self._made

    def made_by(self, task: dsl.PipelineTask) -> None:
        """The snapshot task is there now."""
        self._made, self.task_name = task, task.name


class StepOutputs(dict[str, Any]):
    """A step's outputs, taken as a whole: those of the original component. Those that are added have names.

    Args:
        outputs: all of them.
    """

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        super().__init__({name: one for name, one in outputs.items() if name not in ADDED})
        self._added = {name: one for name, one in outputs.items() if name in ADDED}

    def __missing__(self, name: str) -> Any:
        return self._added[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._added

    def get(self, name: str, default: Any = None) -> Any:
        """The output of that name."""
        return super().get(name, self._added.get(name, default))


class StepTask(dsl.PipelineTask):  # type: ignore[misc]
    """A task of a wrapped component: its outputs are the original's; those that wrapping adds have names."""

    #: Whether it runs when the tasks before it have ended, failed or not.
    ignores_failure = False
    #: Whether its author may set environment variables.
    takes_environment = True

    @property
    def output(self) -> Any:
        """The single output of the original component."""
        own = list(self.outputs.values())
        return own[0] if len(own) == 1 else super().output

    @property
    def outputs(self) -> StepOutputs:
        """The original's outputs; `["commit"]` and `["pachyderm"]` are found by their names only."""
        return StepOutputs(super().outputs)

    def _repr_html_(self) -> str | None:
        """A card for notebooks, of a task that ran with kfp.local; None: KFP shows it as it shows any."""
        commit = super().outputs.get(COMMIT)
        if not isinstance(commit, str) or not commit:
            return None
        from kfp_pachyderm.provenance.queries import lineage

        try:
            return lineage(commit, depth=0).nodes[0]._repr_html_()
        except PachydermError:
            return None  # its Pachyderm is gone by now

    def set_env_variable(self, name: str, value: str) -> StepTask:
        """As KFP's, which refuses variables that `task_config_passthroughs` does not list when it compiles.

        Raises:
            SpecError: it does not list `dsl.TaskConfigField.ENV`.
        """
        if not self.takes_environment:
            raise SpecError(
                f'Task "{self.name}" sets the environment variable "{name}", but its component\'s '
                "task_config_passthroughs does not list dsl.TaskConfigField.ENV. Add it."
            )
        super().set_env_variable(name, value)
        return self

    def ignore_upstream_failure(self) -> StepTask:
        """As KFP's."""
        super().ignore_upstream_failure()
        self.ignores_failure = True
        return self


def check_reference(one: InputConfig, value: Any) -> None:
    """Refuses a constant that is no commit reference.

    Raises:
        CommitReferenceError: the text can't be read.
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
    """The reference with its project; an empty one is the head of the input's branch."""
    reference = value or f"{one.repo}@{one.branch}"
    return reference if "/" in reference else f"{one.project or project}/{reference}"


def is_commit(value: Any) -> bool:
    """Whether the value is a commit when the run decides about caching, whatever the branches do."""
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
