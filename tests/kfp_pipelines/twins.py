"""Compares a compiled pipeline whose components are wrapped with its plain twin.

Both become one tree each, without the parts that wrapping and decorating add.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from kfp_pachyderm.authoring.ir import ADDED, LAUNCHER
from kfp_pachyderm.authoring.task_connection import DEFAULT_NAME

_SNAPSHOT = "pachyderm-snapshot"
_FROM_SNAPSHOT = f"pipelinechannel--{_SNAPSHOT}"
_VARIABLES = "KFP_PACHYDERM_"
_ARCHIVE = re.compile(r"(?<=_B64 = ')[^']*(?=')")
_OTHERS = ("components", "deploymentSpec", "root")


def difference(plain: Path, wrapped: Path, inputs: tuple[str, ...]) -> str:
    """The first place where a compiled pipeline and its wrapped twin differ; "": they do not.

    Args:
        plain: the text of the pipeline.
        wrapped: the text of the wrapped twin.
        inputs: the names of the inputs that wrapping added.
    """
    return _difference(tree(plain, inputs), tree(wrapped, inputs), "")


def tree(text: Path, inputs: tuple[str, ...]) -> Any:
    """A compiled pipeline without what wrapping adds: tasks hold components, components hold executors."""
    spec, *platforms = yaml.safe_load_all(text.read_text(encoding="utf-8"))
    kubernetes = platforms[0]["platforms"].get("kubernetes", {}) if platforms else {}
    settings = kubernetes.get("deploymentSpec", {}).get("executors", {})
    root = _Tree(spec, settings, inputs).component(spec["root"])
    return _pruned({**{name: one for name, one in spec.items() if name not in _OTHERS}, "root": root})


class _Tree:
    def __init__(self, spec: dict[str, Any], settings: dict[str, Any], inputs: tuple[str, ...]) -> None:
        self._components = spec.get("components", {})
        self._executors = spec.get("deploymentSpec", {}).get("executors", {})
        self._settings, self._inputs = settings, inputs

    def component(self, one: dict[str, Any]) -> dict[str, Any]:
        made = dict(one)
        label = made.pop("executorLabel", None)
        wrapped = label and _is_wrapped(self._executors[label])
        if label:
            made["executor"] = self._executor(label)
        if "dag" in made:
            made["dag"] = self._dag(made["dag"])
        made["inputDefinitions"] = self._without(made.get("inputDefinitions", {}))
        # A component alone is a pipeline of one task, which hands on all that the task has.
        alone = "dag" in made and "pachyderm" in made.get("outputDefinitions", {}).get("artifacts", {})
        if wrapped or alone:
            made["outputDefinitions"] = _added_out(made["outputDefinitions"])
        asked = made.get("taskConfigPassthroughs", [])
        made["taskConfigPassthroughs"] = [each for each in asked if each["field"] != "ENV"]
        return made

    def _dag(self, dag: dict[str, Any]) -> dict[str, Any]:
        tasks = {
            name: self._task(one) for name, one in dag["tasks"].items() if not name.startswith(_SNAPSHOT)
        }
        return {**dag, "tasks": tasks, "outputs": _added_out(dag.get("outputs", {}))}

    def _task(self, task: dict[str, Any]) -> dict[str, Any]:
        made = {**task, "component": self.component(self._components[task["componentRef"]["name"]])}
        # caching is switched off for some steps, by their inputs
        del made["componentRef"]
        made.pop("cachingOptions", None)
        made["inputs"] = self._without(made.get("inputs", {}))
        made["dependentTasks"] = [
            one for one in made.get("dependentTasks", []) if not one.startswith(_SNAPSHOT)
        ]
        return made

    def _executor(self, label: str) -> dict[str, Any]:
        executor = dict(self._executors[label])
        if "container" in executor:
            container = dict(executor["container"])
            if _is_wrapped(executor):
                command = container["command"]
                container["command"] = command[command.index("--executor-input") + 3 :]
            # An archive holds the time at which it was made.
            container["command"] = [_ARCHIVE.sub("", one) for one in container.get("command", [])]
            container["env"] = [
                one for one in container.get("env", []) if not one["name"].startswith(_VARIABLES)
            ]
            executor["container"] = container
        return {**executor, "settings": _authors(self._settings.get(label, {}))}

    def _without(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {
            kind: {
                name: one
                for name, one in given.items()
                if name not in self._inputs and not name.startswith(_FROM_SNAPSHOT)
            }
            for kind, given in inputs.items()
        }


def _is_wrapped(executor: dict[str, Any]) -> bool:
    return any(LAUNCHER in one for one in executor.get("container", {}).get("command", []))


def _added_out(outputs: dict[str, Any]) -> dict[str, Any]:
    return {
        kind: {name: one for name, one in given.items() if name not in ADDED}
        for kind, given in outputs.items()
    }


def _authors(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [one for one in value if DEFAULT_NAME not in (one.get("secretName"), one.get("configMapName"))]
        if name in ("secretAsEnv", "configMapAsEnv", "configMapAsVolume")
        else value
        for name, value in settings.items()
    }


def _pruned(value: Any) -> Any:
    if isinstance(value, list):
        return [_pruned(one) for one in value]
    if not isinstance(value, dict):
        return value
    pruned = {name: _pruned(one) for name, one in value.items()}
    return {name: one for name, one in pruned.items() if one not in ({}, [])}


def _difference(left: Any, right: Any, where: str) -> str:
    if isinstance(left, dict) and isinstance(right, dict):
        names = sorted({*left, *right})
        found = (_difference(left.get(name), right.get(name), f"{where}/{name}") for name in names)
        return next(filter(None, found), "")
    return "" if left == right else f"{where}: {left!r} became {right!r}"
