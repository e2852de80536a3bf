"""The last part of a step's life: its record, in KFP's outputs and on Pachyderm's output commit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.launcher.execution import Execution, local_path
from kfp_pachyderm.launcher.open import Opened
from kfp_pachyderm.launcher.say import say
from kfp_pachyderm.pachyderm import job as jobs
from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.locator import Places
from kfp_pachyderm.provenance.page import page
from kfp_pachyderm.provenance.record import PREFIX, StepRecord
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
    record = _record(pachd, opened, info, places.sidecar_s3 if places else "", objects)
    _write_parameter(execution, record)
    _write_artifact(execution, record)
    say(f"job {record.job} {record.state}: {record.size} bytes in {record.output}")


def _record(pachd: Pachd, opened: Opened, info: pps.JobInfo, sidecar: str, objects: int | None) -> StepRecord:
    commit = jobs.inspect_output(pachd, opened.job.output)
    return StepRecord(
        task=opened.task,
        project=opened.job.project,
        pipeline=opened.job.pipeline,
        version=info.pipeline_version,
        job=opened.job.id,
        state=jobs.state_name(info),
        inputs=opened.inputs,
        output=opened.job.output,
        sidecar=sidecar,
        started=info.started.isoformat(timespec="milliseconds"),
        finished=info.finished.isoformat(timespec="milliseconds"),
        duration=(info.finished - info.started).total_seconds(),
        size=commit.details.size_bytes or commit.size_bytes_upper_bound,
        objects=objects,
    )


def _write_parameter(execution: Execution, record: StepRecord) -> None:
    file = execution.parameter_file(COMMIT)
    if file:
        _write(file, str(record.output))


def _write_artifact(execution: Execution, record: StepRecord) -> None:
    described, output = execution.artifact(ARTIFACT), execution.output_file
    if not described:
        return
    _write(local_path(described["uri"]), page(record))
    if output:
        written: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
        artifact = {
            "name": described.get("name", ARTIFACT),
            "uri": described["uri"],
            "metadata": record.metadata(),
        }
        written.setdefault("artifacts", {})[ARTIFACT] = {"artifacts": [artifact]}
        _write(output, json.dumps(written))


def _write(file: Path, text: str) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.kfp-pachyderm")
    draft.write_text(text)
    os.replace(draft, file)


def write_failure(pachd: Pachd, opened: Opened, reason: str) -> None:
    """Leaves the reason on the output commit, best effort: the job itself only says which datum failed."""
    try:
        jobs.write_metadata(pachd.patient(2.0), opened.job.output, {PREFIX + "failure": reason})
    except PachydermError as error:
        say(f"the reason could not be written on {opened.job.output}: {error}")
