"""Wraps components that hand settings of their task to a workload which they start (`dsl.TaskConfig`).

KFP hands over the settings that `task_config_passthroughs` lists. It leaves a listed setting out of the
task's own pod, unless `apply_to_task` is set (KFP backend/src/v2/driver/driver.go, getTaskConfigOptions). The
launcher needs its environment variables in the step's pod. So a wrapped component always lists the
environment with `apply_to_task`, and the launcher removes its own variables from what the workload gets
(launcher/child/task_config.py). The launcher needs no volumes.
"""

from __future__ import annotations

from typing import Any, Literal

from kfp import dsl

#: `dsl.TaskConfigField` (not in kfp 2.14) → the Kubernetes settings of a task that it hands over.
_SETTINGS = {
    "KUBERNETES_VOLUMES": ("pvcMount", "secretAsVolume", "configMapAsVolume"),
    "KUBERNETES_TOLERATIONS": ("tolerations",),
    "KUBERNETES_NODE_SELECTOR": ("nodeSelector",),
    "KUBERNETES_AFFINITY": ("nodeAffinity", "podAffinity"),
}
_TYPE = "TASK_CONFIG"


def passthroughs(spec: Any) -> list[Any] | None:
    """Returns the settings that a component's author has KFP hand over; None with kfp 2.14."""
    found: list[Any] | None = getattr(spec, "task_config_passthroughs", None)
    return found


def with_environment(asked: list[Any] | None) -> list[Any] | None:
    """Returns the settings that a wrapped component hands over: its author's, and the environment."""
    if not asked:
        return asked
    others = [one for one in asked if one.field.name != "ENV"]
    return [*others, dsl.TaskConfigPassthrough(dsl.TaskConfigField.ENV, apply_to_task=True)]


def add_to_ir(component: dict[str, Any]) -> None:
    """Does the same as `with_environment` in the IR of a component."""
    asked = component.get("taskConfigPassthroughs")
    if asked:
        others = [one for one in asked if one["field"] != "ENV"]
        component["taskConfigPassthroughs"] = [*others, {"field": "ENV", "applyToTask": True}]


def environment_of(asked: list[Any] | None) -> Literal["", "shared", "handed"]:
    """Returns who gets the author's environment: the task (""), its workload ("handed"), both ("shared")."""
    found = [one for one in asked or () if one.field.name == "ENV"]
    if not found:
        return ""
    return "shared" if found[-1].apply_to_task else "handed"


def parameters(component: dict[str, Any], asked: list[Any] | None) -> tuple[str, ...]:
    """Returns the names of the parameters, in a component's IR, by which KFP hands settings over."""
    defined = component.get("inputDefinitions", {}).get("parameters", {})
    return tuple(name for name, one in defined.items() if one["parameterType"] == _TYPE) if asked else ()


def on_the_pod(task: dsl.PipelineTask) -> dict[str, Any]:
    """Returns the Kubernetes settings of a task that KFP applies to the task's own pod."""
    asked = passthroughs(task.component_spec) or ()
    handed = {name for one in asked if not one.apply_to_task for name in _SETTINGS.get(one.field.name, ())}
    settings = task.platform_config.get("kubernetes", {})
    return {name: value for name, value in settings.items() if name not in handed}
