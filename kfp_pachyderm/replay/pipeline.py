"""Makes the KFP pipeline that runs the planned steps."""

from __future__ import annotations

import json
import tempfile
from collections import namedtuple
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kfp
from kfp import compiler, dsl

from kfp_pachyderm.authoring.spec import Connection
from kfp_pachyderm.launcher.config import COMPILED_VARIABLE
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.record import Source
from kfp_pachyderm.replay.component import component
from kfp_pachyderm.replay.model import Plan, ReplayStep

_KINDS: list[Any] = [one for one in vars(dsl).values() if isinstance(one, type)]
_ARTIFACTS = {one.schema_title: one for one in _KINDS if issubclass(one, dsl.Artifact)}


def output_name(number: int) -> str:
    """Returns the name of the pipeline's output that holds the commit of the plan's step of that number."""
    return f"commit_{number}"


def pipeline(plan: Plan, in_cluster: bool) -> Any:
    """Returns a KFP pipeline without parameters, whose outputs are the steps' commits; no task is cached.

    Args:
        plan: the plan.
        in_cluster: whether the steps reach Pachyderm by the addresses that their authors wrote.
    """
    names = [output_name(number) for number in range(len(plan.steps))]
    outputs: Any = namedtuple("Commits", names)  # type: ignore[misc]
    outputs.__annotations__ = dict.fromkeys(names, str)

    def body() -> Any:
        tasks: dict[Reference, Any] = {}
        makers: dict[str, Any] = {}
        for step in plan.steps:
            tasks[step.original] = task = _task(step, tasks, makers, in_cluster)
            makers.update(
                (one.uri, task.outputs[name]) for name, one in step.record.code.interface.made.items()
            )
        return outputs(*(task.outputs["commit"] for task in tasks.values()))

    body.__annotations__["return"] = outputs
    return dsl.pipeline(name=plan.pipeline)(body)


def compiled(made: Any) -> str:
    """Compiles a pipeline; returns the YAML."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(made, str(path))
        return path.read_text(encoding="utf-8")


def _task(
    step: ReplayStep, tasks: Mapping[Reference, Any], makers: Mapping[str, Any], in_cluster: bool
) -> Any:
    address = step.record.code.settings.get("address") if in_cluster else None
    made = component(step, Connection(address) if address else None)
    many = {one.name for one in step.config.inputs if one.many}
    commits = {
        name: [tasks[one].outputs["commit"] if one in tasks else str(one) for one in every]
        for name, every in step.inputs.items()
    }
    inputs = {name: every if name in many else every[0] for name, every in commits.items()}
    artifacts = {
        name: makers[one.uri] if one.uri in makers else _imported(one.type, one.uri)
        for name, one in step.artifacts.items()
    }
    task = made(**step.parameters, **inputs, **artifacts)
    task.set_caching_options(False)
    task.set_env_variable(COMPILED_VARIABLE, json.dumps(_compiled(step.record.code.source), sort_keys=True))
    return task


def _imported(kind: str, uri: str) -> Any:
    class_ = _ARTIFACTS.get(kind.partition("@")[0], dsl.Artifact)
    return dsl.importer(artifact_uri=uri, artifact_class=class_, reimport=False).output


def _compiled(source: Source | None) -> dict[str, Any]:
    """Returns the value of COMPILED_VARIABLE: this kfp's version, and the git commit of the original."""
    said = {"commit": source.commit, "dirty": source.dirty, "file": source.file} if source else {}
    return {"kfp": kfp.__version__, **{name: one for name, one in said.items() if one not in (None, "")}}
