"""Components that hand settings of their task to a workload which they start (`dsl.TaskConfig`).

KFP hands over what `task_config_passthroughs` lists, and leaves it out of the task's own pod unless it is to
be applied there too (KFP backend/src/v2/driver/driver.go, getTaskConfigOptions). The launcher needs its own
environment in the step's pod whatever is listed. So the environment always is listed and applied; the
launcher takes out of it what is not the author's (launcher/child/task_config.py). It needs no volumes.
"""

from __future__ import annotations

from typing import Any, Literal

from kfp import dsl

#: Kubernetes settings of a task, by the `dsl.TaskConfigField` (not in kfp 2.14) that hands them over.
_SETTINGS = {
    "KUBERNETES_VOLUMES": ("pvcMount", "secretAsVolume", "configMapAsVolume"),
    "KUBERNETES_TOLERATIONS": ("tolerations",),
    "KUBERNETES_NODE_SELECTOR": ("nodeSelector",),
    "KUBERNETES_AFFINITY": ("nodeAffinity", "podAffinity"),
}
_TYPE = "TASK_CONFIG"


def passthroughs(spec: Any) -> list[Any] | None:
    """What the author of a component asks KFP to hand over; kfp 2.14 knows no such thing."""
    found: list[Any] | None = getattr(spec, "task_config_passthroughs", None)
    return found


def with_environment(asked: list[Any] | None) -> list[Any] | None:
    """What a wrapped component hands over: what its author asked for, and the environment."""
    if not asked:
        return asked
    others = [one for one in asked if one.field.name != "ENV"]
    return [*others, dsl.TaskConfigPassthrough(dsl.TaskConfigField.ENV, apply_to_task=True)]


def add_to_ir(component: dict[str, Any]) -> None:
    """The same for the IR of a component."""
    asked = component.get("taskConfigPassthroughs")
    if asked:
        others = [one for one in asked if one["field"] != "ENV"]
        component["taskConfigPassthroughs"] = [*others, {"field": "ENV", "applyToTask": True}]


def environment_of(asked: list[Any] | None) -> Literal["", "shared", "handed"]:
    """Whose the author's environment is: the task's (""), the workload's ("handed"), or both's ("shared")."""
    found = [one for one in asked or () if one.field.name == "ENV"]
    if not found:
        return ""
    return "shared" if found[-1].apply_to_task else "handed"


def parameters(component: dict[str, Any], asked: list[Any] | None) -> tuple[str, ...]:
    """The parameters of a component, given by its IR, in which KFP hands settings over."""
    defined = component.get("inputDefinitions", {}).get("parameters", {})
    return tuple(name for name, one in defined.items() if one["parameterType"] == _TYPE) if asked else ()


def on_the_pod(task: dsl.PipelineTask) -> dict[str, Any]:
    """The Kubernetes settings of a task that are its pod's."""
    asked = passthroughs(task.component_spec) or ()
    handed = {name for one in asked if not one.apply_to_task for name in _SETTINGS.get(one.field.name, ())}
    settings = task.platform_config.get("kubernetes", {})
    return {name: value for name, value in settings.items() if name not in handed}
