"""The KFP task that made a commit: the part of a step's record that is known before its job begins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

#: Prefix of every metadata key that kfp-pachyderm writes on a commit.
PREFIX = "kfp-pachyderm/"
RUN_KEY, TASK_KEY, SALT_KEY, ATTEMPT_KEY = (PREFIX + name for name in ("run", "task", "salt", "attempt"))
FAILURE_KEY = PREFIX + "failure"
#: The argument that follows the launcher's config in a wrapped component's command.
EXECUTOR_INPUT = "--executor-input"


def config_text(command: Sequence[str]) -> str:
    """The launcher's config in a wrapped component's command; "" of another command."""
    return str(command[command.index(EXECUTOR_INPUT) - 1]) if EXECUTOR_INPUT in command else ""


def is_step(command: Sequence[str]) -> bool:
    """Whether a step has this command; the snapshot task and reusable components run the launcher, too."""
    try:
        return bool(json.loads(config_text(command))["kind"] == "step")
    except (ValueError, TypeError, KeyError):
        return False


@dataclass(frozen=True)
class KfpTask:
    """The KFP part of a record: which task made the commit, out of which component.

    Args:
        pipeline: KFP pipeline.
        run: run ID.
        task: task name.
        salt: differs between executions of the task in one run (ParallelFor), not between attempts; "" with
            kfp.local.
        attempt: a text that differs between attempts of one execution.
        component: the component's name.
        digest: digest of the component's IR before `s3_enabled` wrapped it.
        image: the component's image.
        package: the version of kfp-pachyderm that ran the step.
        keys: how S3 keys are encoded as file names (`adapter.encoding`); "": they are not encoded.
    """

    pipeline: str
    run: str
    task: str
    salt: str
    attempt: str
    component: str
    digest: str
    image: str
    package: str
    keys: str = ""

    def commit_metadata(self) -> dict[str, str]:
        """The output commit's metadata from the moment that its job exists."""
        every = {
            "pipeline": self.pipeline,
            "run": self.run,
            "task": self.task,
            "salt": self.salt,
            "attempt": self.attempt,
            "component": self.component,
            "component-digest": self.digest,
            "image": self.image,
            "version": self.package,
            "keys": self.keys,
        }
        return {PREFIX + name: value for name, value in every.items() if value}

    def identity(self) -> dict[str, str]:
        """The keys by which the launcher recognises its own commit; without empty values."""
        every = {RUN_KEY: self.run, TASK_KEY: self.task, SALT_KEY: self.salt, ATTEMPT_KEY: self.attempt}
        return {key: value for key, value in every.items() if value}

    def artifact_metadata(self) -> dict[str, str]:
        """The task's part of the metadata of KFP's artifact `pachyderm`; without empty values."""
        every = {
            "kfp_pipeline": self.pipeline,
            "kfp_run": self.run,
            "kfp_task": self.task,
            "kfp_attempt": self.attempt,
            "component": self.component,
            "component_digest": self.digest,
            "image": self.image,
            "kfp_pachyderm_version": self.package,
            "keys": self.keys,
        }
        return {name: value for name, value in every.items() if value}
