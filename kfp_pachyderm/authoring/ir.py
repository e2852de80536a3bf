"""A component's intermediate representation (IR), as YAML and dicts, before and after it is wrapped.

This module uses public parts of KFP only: the compiler writes the IR, `load_component_from_text` reads it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from kfp import compiler, dsl

from kfp_pachyderm.authoring.task_config import add_to_ir
from kfp_pachyderm.launcher.bootstrap import PACKAGE_VARIABLE, bootstrap_command
from kfp_pachyderm.launcher.config import Config, InputConfig, StepConfig, dumps
from kfp_pachyderm.provenance.kfp_task import EXECUTOR_INPUT

#: Outputs that every step gets.
COMMIT, RECORD = "commit", "pachyderm"
ADDED = (COMMIT, RECORD)
#: The module that the command of every wrapped component names, in all releases.
LAUNCHER = "kfp_pachyderm.launcher"
#: How KFP's placeholders begin, but for `{{$}}`.
_PLACEHOLDER = "{{$."
_COMMIT = {"parameterType": "STRING", "description": "The step's output commit, project/repo@<job ID>."}
_RECORD = {
    "artifactType": {"schemaTitle": "system.Markdown", "schemaVersion": "0.0.1"},
    "description": "Which Pachyderm job ran, on which commits.",
}


class ComponentIR:
    """The IR of one component.

    Args:
        documents: the IR's YAML documents: the pipeline spec, and the platform spec if there is one.
    """

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.documents = documents
        pipeline = documents[0]
        self.root: dict[str, Any] = pipeline["root"]
        (self.task_name, self.task), *_ = self.root["dag"]["tasks"].items()
        self.component: dict[str, Any] = pipeline["components"][self.task["componentRef"]["name"]]
        executors = pipeline["deploymentSpec"]["executors"]
        self.container: dict[str, Any] = executors[self.component["executorLabel"]]["container"]

    @classmethod
    def of(cls, component: dsl.base_component.BaseComponent) -> ComponentIR:
        """Compiles the component by KFP's compiler."""
        # Inside of a pipeline's body, the compilation of a component loaded from YAML would add a task to it.
        with dsl.base_component.BlockPipelineTaskRegistration(), tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "component.yaml"
            compiler.Compiler().compile(component, str(path))
            return cls(list(yaml.safe_load_all(path.read_text(encoding="utf-8"))))

    def digest(self) -> str:
        """Returns the SHA-256 of the component's interface and container."""
        text = json.dumps([self.component, self.container], sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def own_command(self) -> tuple[str, ...]:
        """Returns command and arguments if they have placeholders other than `{{$}}`, else ().

        KFP replaces placeholders before the launcher starts; `{{$}}` stands for the whole executor input.
        """
        every = [*self.container.get("command", []), *self.container.get("args", [])]
        return tuple(every) if any(_PLACEHOLDER in one for one in every) else ()

    def wrapped(self, config: StepConfig, package: str | None) -> str:
        """Returns the IR's text, with the launcher before the command, and with the inputs and outputs added.

        Args:
            config: the step's config.
            package: pip's arguments for the launcher; None: the text does not contain them.
        """
        copied = ComponentIR(copy.deepcopy(self.documents))
        command = copied.container["command"]
        copied.container["command"] = launcher_command(config, command) + command
        if package:
            # A value that the component itself sets comes later in the list, and takes effect.
            variable = {"name": PACKAGE_VARIABLE, "value": package}
            copied.container["env"] = [variable, *copied.container.get("env", [])]
        for one in config.inputs:
            copied._add_input(one)
        copied._add_outputs()
        for where in (copied.component, copied.root):
            add_to_ir(where)
        return yaml.safe_dump_all(copied.documents, sort_keys=True)

    def _add_input(self, one: InputConfig) -> None:
        definition: dict[str, Any] = {
            "parameterType": "LIST" if one.many else "STRING",
            "isOptional": True,
            "description": describe(one),
        }
        if not one.many:  # An input without an argument means the branch's head, not an empty list.
            definition["defaultValue"] = ""
        for where in (self.component, self.root):
            _into(where, "inputDefinitions", "parameters")[one.name] = dict(definition)
        _into(self.task, "inputs", "parameters")[one.name] = {"componentInputParameter": one.name}

    def _add_outputs(self) -> None:
        for where in (self.component, self.root):
            _into(where, "outputDefinitions", "parameters")[COMMIT] = dict(_COMMIT)
            _into(where, "outputDefinitions", "artifacts")[RECORD] = copy.deepcopy(_RECORD)
        outputs = _into(self.root, "dag", "outputs")
        _into(outputs, "parameters")[COMMIT] = {
            "valueFromParameter": {"outputParameterKey": COMMIT, "producerSubtask": self.task_name}
        }
        _into(outputs, "artifacts")[RECORD] = {
            "artifactSelectors": [{"outputArtifactKey": RECORD, "producerSubtask": self.task_name}]
        }


def launcher_command(config: Config, command: list[str]) -> list[str]:
    """Returns the launcher's part of a command line, for an image that can run the given command."""
    placeholder = dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER
    return [*bootstrap_command(command), dumps(config), EXECUTOR_INPUT, placeholder, "--"]


def is_wrapped(component: dsl.base_component.BaseComponent) -> bool:
    """Returns whether the component's command starts the launcher, as in the YAML of a wrapped one."""
    container = component.component_spec.implementation.container
    command = container.command or [] if container else []
    return any(isinstance(one, str) and LAUNCHER in one for one in command)


def environment(env: Any) -> dict[str, Any] | None:
    """Turns the IR's list of names and values into a dict, as authors write it; KFP leaves it a list."""
    return {one["name"]: one.get("value", "") for one in env} if isinstance(env, list) else env


def describe(one: InputConfig) -> str:
    """Returns the description that KFP's UI shows for an input's parameter."""
    repo = f"{one.project}/{one.repo}" if one.project else one.repo
    what = (
        "List of Pachyderm commit references; left out" if one.many else "Pachyderm commit reference; empty"
    )
    return f"{what}: the head of {repo}@{one.branch}."


def _into(where: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        where = where.setdefault(key, {})
    return where
