"""What a record says from the start: the command, the parameters, and what compiled the pipeline."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from kfp_pachyderm.launcher.config import COMPILED_VARIABLE, StepConfig
from kfp_pachyderm.launcher.executor_input import Execution
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.kfp_task import KfpTask
from kfp_pachyderm.provenance.record import OPEN, Code, Source, StepRecord
from kfp_pachyderm.provenance.stored_record import bounded


def begun(
    task: KfpTask,
    output: Reference,
    inputs: dict[str, Reference],
    code: Code,
    job: ClaimedJob | None = None,
    sibling_of: str = "",
) -> StepRecord:
    """What is known when a step's output commit has been made, by a job or not."""
    return StepRecord(
        task=task,
        project=output.project,
        pipeline=job.pipeline if job else "",
        version=0,
        job=job.id if job else "",
        state=OPEN,
        inputs=inputs,
        output=output,
        sidecar="",
        started="",
        finished="",
        duration=0.0,
        size=0,
        code=code,
        sibling_of=sibling_of,
    )


def code_of(config: StepConfig, execution: Execution, env: Mapping[str, str] = os.environ) -> Code:
    """The code of a step.

    Values are those of parameters alone, which KFP keeps, too. What a step is given for a workload that it
    starts is none of them.

    Args:
        config: what authoring wrote.
        execution: KFP's side.
        env: the environment.
    """
    left_out = {one.name for one in config.inputs} | {*config.private, *config.workload}
    given: dict[str, Any] = execution.data.get("inputs", {}).get("parameterValues", {})
    kfp, source = _compiled(env.get(COMPILED_VARIABLE, ""))
    return bounded(
        Code(
            command=config.command or execution.command,
            parameters={name: value for name, value in given.items() if name not in left_out},
            private=tuple(name for name in config.private if name in given),
            kfp=kfp,
            source=source,
        )
    )


def _compiled(text: str) -> tuple[str, Source | None]:
    try:
        data = json.loads(text)
        commit, dirty = data.get("commit"), data.get("dirty")
        source = Source(str(commit), dirty, str(data.get("file", ""))) if commit else None
        return str(data.get("kfp", "")), source
    except (ValueError, AttributeError):  # nobody said, or somebody else did
        return "", None
