"""The snapshot's KFP component, and the Kubernetes settings that its task takes over from a step."""

from __future__ import annotations

import copy
import json
from typing import Any

import yaml

from kfp_pachyderm.authoring.ir import launcher_command
from kfp_pachyderm.authoring.step import S3EnabledComponent
from kfp_pachyderm.authoring.task_config import on_the_pod
from kfp_pachyderm.authoring.tasks import StepTask
from kfp_pachyderm.launcher.config import SnapshotConfig

#: The name of the task that resolves the inputs, and of its component.
SNAPSHOT = "pachyderm-snapshot"
#: Keys in a task's Kubernetes settings whose value comes from another task or from a parameter.
_DECIDED_LATER = ("taskOutputParameter", "componentInputParameter")
#: kfp.local's SubprocessRunner runs only commands that name KFP's executor; the launcher ignores this text.
_RUN_ME_LOCALLY = "instead of kfp.dsl.executor_main"


def known_settings(task: StepTask) -> dict[str, Any]:
    """Returns those Kubernetes settings of a task that are known when the run starts."""

    def known(value: Any) -> bool:
        return not any(later in json.dumps(value) for later in _DECIDED_LATER)

    settings = copy.deepcopy(on_the_pod(task))
    for name, value in settings.items():
        if isinstance(value, list):
            settings[name] = [one for one in value if known(one)]
    return {"kubernetes": {name: value for name, value in settings.items() if value and known(value)}}


def _parameter(config: SnapshotConfig, name: str) -> dict[str, str]:
    if name in config.lists:
        return {"type": "JsonArray", "default": "[]"}
    return {"type": "String", "default": ""}


def component(config: SnapshotConfig, parameters: list[str], step: S3EnabledComponent, task: StepTask) -> str:
    """Returns the snapshot's component as component.yaml, the shortest public form that KFP reads."""
    image = task.container_spec.image
    return yaml.safe_dump(
        {
            "name": SNAPSHOT,
            "description": "Resolves the branches that this run reads, once for all its steps.",
            "inputs": [{"name": name, **_parameter(config, name)} for name in parameters],
            "outputs": [
                {"name": name, "type": _parameter(config, name)["type"]} for name in config.references
            ],
            "implementation": {
                "container": {
                    "image": step.config.image if "{{" in image else image,
                    "command": launcher_command(config, step.step.ir.container["command"]),
                    "args": [_RUN_ME_LOCALLY],
                }
            },
        }
    )
