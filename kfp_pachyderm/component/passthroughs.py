"""Components that hand settings of their task to a workload which they start (`dsl.TaskConfig`).

KFP hands over what `task_config_passthroughs` lists, and leaves it out of the task's own pod unless it is to
be applied there too (KFP backend/src/v2/driver/driver.go, getTaskConfigOptions). The launcher needs its own
environment in the step's pod whatever is listed. So the environment always is listed and applied; the
launcher takes out of it what is not the author's (kfp_pachyderm/launcher/workload.py). It needs no volumes.
"""

from __future__ import annotations

from typing import Any, Literal

from kfp import dsl

#: Kubernetes settings of a task, by the field that hands them over.
_SETTINGS = {
    dsl.TaskConfigField.KUBERNETES_VOLUMES: ("pvcMount", "secretAsVolume", "configMapAsVolume"),
    dsl.TaskConfigField.KUBERNETES_TOLERATIONS: ("tolerations",),
    dsl.TaskConfigField.KUBERNETES_NODE_SELECTOR: ("nodeSelector",),
    dsl.TaskConfigField.KUBERNETES_AFFINITY: ("nodeAffinity", "podAffinity"),
}
_TYPE = "TASK_CONFIG"


def with_environment(asked: list[Any] | None) -> list[Any] | None:
    """What a wrapped component hands over: what its author asked for, and the environment."""
    if not asked:
        return asked
    others = [one for one in asked if one.field != dsl.TaskConfigField.ENV]
    return [*others, dsl.TaskConfigPassthrough(dsl.TaskConfigField.ENV, apply_to_task=True)]


def add_to_ir(component: dict[str, Any]) -> None:
    """The same for the IR of a component."""
    asked = component.get("taskConfigPassthroughs")
    if asked:
        others = [one for one in asked if one["field"] != "ENV"]
        component["taskConfigPassthroughs"] = [*others, {"field": "ENV", "applyToTask": True}]


def environment_of(asked: list[Any] | None) -> Literal["", "shared", "handed"]:
    """Whose the author's environment is: the task's (""), the workload's ("handed"), or both's ("shared")."""
    found = [one for one in asked or () if one.field == dsl.TaskConfigField.ENV]
    if not found:
        return ""
    return "shared" if found[-1].apply_to_task else "handed"


def parameters(component: dict[str, Any], asked: list[Any] | None) -> tuple[str, ...]:
    """The parameters of a component, given by its IR, in which KFP hands settings over."""
    defined = component.get("inputDefinitions", {}).get("parameters", {})
    return tuple(name for name, one in defined.items() if one["parameterType"] == _TYPE) if asked else ()


def on_the_pod(task: dsl.PipelineTask) -> dict[str, Any]:
    """The Kubernetes settings of a task that are its pod's."""
    asked = task.component_spec.task_config_passthroughs or ()
    handed = {name for one in asked if not one.apply_to_task for name in _SETTINGS.get(one.field, ())}
    settings = task.platform_config.get("kubernetes", {})
    return {name: value for name, value in settings.items() if name not in handed}
