"""What a record says from the start: the command, the parameters, and what compiled the pipeline."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kfp_pachyderm.launcher.config import COMPILED_VARIABLE, StepConfig, dumps
from kfp_pachyderm.launcher.executor_input import ARTIFACT, COMMIT, Execution
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.kfp_task import KfpTask
from kfp_pachyderm.provenance.record import Artifact, Code, Interface, Source, StepRecord, given
from kfp_pachyderm.provenance.stored_record import bounded

#: kfp.local puts a path in the place of "python3" (kfp/local/subprocess_task_handler.py).
_LOCAL_PYTHON = re.compile(r"(/\S+) -m kfp\.dsl\.executor_main")


def begun(
    task: KfpTask,
    output: Reference,
    inputs: dict[str, Reference],
    code: Code,
    job: ClaimedJob | None = None,
    sibling_of: str = "",
) -> StepRecord:
    """The record of a step whose output commit has just been made, by a job or without one."""
    return StepRecord(
        task=task,
        project=output.project,
        output=output,
        pipeline=job.pipeline if job else "",
        job=job.id if job else "",
        inputs=inputs,
        code=code,
        sibling_of=sibling_of,
    )


def code_of(config: StepConfig, execution: Execution, env: Mapping[str, str] = os.environ) -> Code:
    """The code of a step.

    The only values in it are those of parameters, which KFP keeps, too. It leaves out private parameters, and
    the settings of a workload that the step starts.

    Args:
        config: the step's config.
        execution: KFP's executor input.
        env: the environment.
    """
    left_out = {one.name for one in config.inputs} | {*config.private, *config.workload}
    passed = given(execution.data.get("inputs", {}).get("parameterValues", {}))
    kfp, source = _compiled(env.get(COMPILED_VARIABLE, ""))
    return bounded(
        Code(
            command=config.command or _command(execution),
            parameters={name: value for name, value in passed.items() if name not in left_out},
            private=tuple(name for name in config.private if name in passed),
            kfp=kfp,
            source=source,
            settings=json.loads(dumps(replace(config, command=(), digest="", image=""))),
            interface=_interface(execution.data),
        )
    )


def _command(execution: Execution) -> tuple[str, ...]:
    """The command as the component has it."""
    places = (_LOCAL_PYTHON.search(one) for one in execution.command) if execution.local else ()
    path = next((found[1] for found in places if found), None)
    return tuple(one.replace(path, "python3") for one in execution.command) if path else execution.command


def _interface(data: dict[str, Any]) -> Interface:
    outputs = data.get("outputs", {})
    made = _artifacts(outputs)
    return Interface(
        tuple(name for name in outputs.get("parameters", {}) if name != COMMIT),
        {name: every[0] for name, every in made.items() if name != ARTIFACT and every},
        _artifacts(data.get("inputs", {})),
    )


def _artifacts(side: dict[str, Any]) -> dict[str, tuple[Artifact, ...]]:
    return {
        name: tuple(map(_artifact, every.get("artifacts", ())))
        for name, every in side.get("artifacts", {}).items()
    }


def _artifact(described: dict[str, Any]) -> Artifact:
    schema = described.get("type", {})
    version = f"@{schema['schemaVersion']}" if "schemaVersion" in schema else ""
    return Artifact(f"{schema.get('schemaTitle', '')}{version}", described.get("uri", ""))


def _compiled(text: str) -> tuple[str, Source | None]:
    try:
        data = json.loads(text)
        commit, dirty = data.get("commit"), data.get("dirty")
        source = Source(str(commit), dirty, str(data.get("file", ""))) if commit else None
        return str(data.get("kfp", "")), source
    except (ValueError, AttributeError):  # The variable is not set, or its text is not ours.
        return "", None
