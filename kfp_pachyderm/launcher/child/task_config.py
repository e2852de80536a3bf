"""What a step hands to a workload that it starts (`dsl.TaskConfig`), without the launcher's own settings."""

from __future__ import annotations

import copy
import json
from typing import Any

from kfp_pachyderm.launcher.config import StepConfig
from kfp_pachyderm.launcher.executor_input import Execution

_OURS = "KFP_PACHYDERM_"


def handed_over(config: StepConfig, execution: Execution, text: str, command: list[str]) -> list[str]:
    """The user's command; the workload settings in it are reduced to those that the author gave.

    Args:
        config: the step's config.
        execution: KFP's executor input.
        text: the executor input as KFP wrote it; the argument that equals it is replaced.
        command: the user's command.
    """
    if not any(execution.value(name) for name in config.workload):
        return command
    data = copy.deepcopy(execution.data)
    for name in config.workload:
        settings = data["inputs"]["parameterValues"].get(name)
        if settings:
            settings["env"] = _authors(settings, config) or None
    replaced = json.dumps(data)
    return [replaced if argument == text else argument for argument in command]


def withheld(config: StepConfig, execution: Execution) -> frozenset[str]:
    """Names of the author's environment that are the workload's only, not the step's own.

    PATH is never withheld: the image's own value is not known any more, and without a PATH no command is
    found.
    """
    if config.workload_env != "handed":
        return frozenset()
    every = [execution.value(name) for name in config.workload]
    names = {one["name"] for settings in every if settings for one in _authors(settings, config)}
    return frozenset(names - {"PATH"})


def _authors(settings: dict[str, Any], config: StepConfig) -> list[dict[str, Any]]:
    if not config.workload_env:
        return []
    return [one for one in settings.get("env") or () if not one["name"].startswith(_OURS)]
