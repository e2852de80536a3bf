"""The last part of a step's life: its record, in KFP's outputs and on Pachyderm's output commit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.launcher.execution import Execution, local_path
from kfp_pachyderm.launcher.open import Opened
from kfp_pachyderm.launcher.say import say
from kfp_pachyderm.pachyderm import job as jobs
from kfp_pachyderm.pachyderm.claim import ClaimedJob
from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.locator import Places
from kfp_pachyderm.pachyderm.references import Reference
from kfp_pachyderm.provenance.page import page
from kfp_pachyderm.provenance.record import PREFIX, KfpTask, StepRecord
from kfp_pachyderm.sdk import pps

COMMIT, ARTIFACT = "commit", "pachyderm"


def write_record(
    pachd: Pachd,
    opened: Opened,
    execution: Execution,
    info: pps.JobInfo,
    places: Places | None,
    objects: int | None,
) -> None:
    """Writes the outputs `commit` and `pachyderm`, after the child wrote its own."""
    sidecar = places.recorded if places else ""
    write_job(pachd, opened.task, opened.job, opened.inputs, execution, info, sidecar, objects)


def write_job(
    pachd: Pachd,
    task: KfpTask,
    job: ClaimedJob,
    inputs: dict[str, Reference],
    execution: Execution,
    info: pps.JobInfo,
    sidecar: str = "",
    objects: int | None = None,
) -> None:
    """The same for any job that ended well; arguments as in StepRecord."""
    record = _record(pachd, task, job, inputs, info, sidecar, objects)
    write_outputs(execution, record.output, page(record), record.metadata())
    say(f"job {record.job} {record.state}: {record.size} bytes in {record.output}")


def _record(
    pachd: Pachd,
    task: KfpTask,
    job: ClaimedJob,
    inputs: dict[str, Reference],
    info: pps.JobInfo,
    sidecar: str,
    objects: int | None,
) -> StepRecord:
    commit = jobs.inspect_output(pachd, job.output)
    return StepRecord(
        task=task,
        project=job.project,
        pipeline=job.pipeline,
        version=info.pipeline_version,
        job=job.id,
        state=jobs.state_name(info),
        inputs=inputs,
        output=job.output,
        sidecar=sidecar,
        started=info.started.isoformat(timespec="milliseconds"),
        finished=info.finished.isoformat(timespec="milliseconds"),
        duration=(info.finished - info.started).total_seconds(),
        size=commit.details.size_bytes or commit.size_bytes_upper_bound,
        objects=objects,
    )


def write_outputs(
    execution: Execution, commit: Reference, text: str, metadata: Mapping[str, str | int | float]
) -> None:
    """The outputs `commit` and `pachyderm`, as far as the component has them.

    Args:
        execution: KFP's side.
        commit: the commit.
        text: the page, Markdown.
        metadata: of the artifact `pachyderm`.
    """
    file = execution.parameter_file(COMMIT)
    if file:
        _write(file, str(commit))
    described = execution.artifact(ARTIFACT)
    if described:
        _write(local_path(described["uri"]), text)
        describe_artifact(execution, ARTIFACT, metadata)


def describe_artifact(execution: Execution, name: str, metadata: Mapping[str, str | int | float]) -> None:
    """Gives an output artifact its metadata."""
    described, output = execution.artifact(name), execution.output_file
    if not described or not output:
        return
    written: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    artifact = {"name": described.get("name", name), "uri": described["uri"], "metadata": dict(metadata)}
    written.setdefault("artifacts", {})[name] = {"artifacts": [artifact]}
    _write(output, json.dumps(written))


def _write(file: Path, text: str) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.kfp-pachyderm")
    draft.write_text(text)
    os.replace(draft, file)


def write_failure(pachd: Pachd, output: Reference, reason: str) -> None:
    """Leaves the reason on the output commit, best effort: the job itself only says which datum failed."""
    try:
        jobs.write_metadata(pachd.patient(2.0), output, {PREFIX + "failure": reason})
    except PachydermError as error:
        say(f"the reason could not be written on {output}: {error}")
