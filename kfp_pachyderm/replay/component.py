"""Makes the component of a recorded step again, as KFP's IR, from the step's record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import kfp
import yaml
from kfp import components

from kfp_pachyderm.authoring.ir import ComponentIR
from kfp_pachyderm.authoring.spec import Connection
from kfp_pachyderm.authoring.step import S3EnabledComponent, Step
from kfp_pachyderm.provenance.record import Artifact
from kfp_pachyderm.replay.model import ReplayStep


def component(step: ReplayStep, connection: Connection | None) -> S3EnabledComponent:
    """Returns the step's component: the launcher, then the recorded command.

    Args:
        step: the recorded step.
        connection: how the step reaches Pachyderm; None: by the namespace's default.
    """
    documents = [_ir(step)]
    original = components.load_component_from_text(yaml.safe_dump(documents[0]))
    ir = ComponentIR(documents)
    config = replace(step.config, command=ir.own_command())
    return S3EnabledComponent(
        Step(original, ir, config, config.project, connection), config.project, connection
    )


def _ir(step: ReplayStep) -> dict[str, Any]:
    record, name = step.record, step.task
    interface, label = _interface(step), f"exec-{name}"
    given = {
        key: list(interface.get("inputDefinitions", {}).get(key, {})) for key in ("parameters", "artifacts")
    }
    task = {
        "componentRef": {"name": f"comp-{name}"},
        "inputs": {
            "parameters": {one: {"componentInputParameter": one} for one in given["parameters"]},
            "artifacts": {one: {"componentInputArtifact": one} for one in given["artifacts"]},
        },
        "taskInfo": {"name": name},
    }
    container = {"image": record.task.image, "command": list(record.code.command)}
    return {
        "components": {f"comp-{name}": {"executorLabel": label, **interface}},
        "deploymentSpec": {"executors": {label: {"container": container}}},
        "pipelineInfo": {"name": name},
        "root": {"dag": {"tasks": {name: task}}, **interface},
        "schemaVersion": "2.1.0",
        "sdkVersion": f"kfp-{kfp.__version__}",
    }


def _interface(step: ReplayStep) -> dict[str, Any]:
    recorded = step.record.code.interface
    inputs = {
        "parameters": {name: {"parameterType": _type(one)} for name, one in step.parameters.items()},
        "artifacts": {name: _schema(one) for name, one in step.artifacts.items()},
    }
    # The record does not hold the outputs' types. STRING does: a replay reads these outputs as text only.
    outputs = {
        "parameters": {name: {"parameterType": "STRING"} for name in recorded.outputs},
        "artifacts": {name: _schema(one) for name, one in recorded.made.items()},
    }
    return {"inputDefinitions": _filled(inputs), "outputDefinitions": _filled(outputs)}


def _filled(every: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in every.items() if one}


def _type(value: Any) -> str:
    """Returns the KFP type with which KFP's backend and kfp.local pass this value on unchanged."""
    kinds = (
        (bool, "BOOLEAN"),
        (int, "NUMBER_INTEGER"),
        (float, "NUMBER_DOUBLE"),
        (str, "STRING"),
        (list, "LIST"),
    )
    return next((kind for type_, kind in kinds if isinstance(value, type_)), "STRUCT")


def _schema(artifact: Artifact) -> dict[str, Any]:
    title, _, version = artifact.type.partition("@")
    return {"artifactType": {"schemaTitle": title or "system.Artifact", "schemaVersion": version or "0.0.1"}}
