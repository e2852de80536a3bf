"""Writes a step's record at its end: into KFP's outputs and onto Pachyderm's output commit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from kfp_pachyderm.errors import AuthenticationError, PachydermError
from kfp_pachyderm.launcher.background import beside
from kfp_pachyderm.launcher.executor_input import ARTIFACT, COMMIT, Execution, local_path
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.texts import brief
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pps
from kfp_pachyderm.provenance.commit_files import files_of
from kfp_pachyderm.provenance.file_list import FileList, file_list
from kfp_pachyderm.provenance.graph.views.wording import duration, size
from kfp_pachyderm.provenance.inputs_tree import inputs_tree
from kfp_pachyderm.provenance.kfp_page import page
from kfp_pachyderm.provenance.kfp_task import FAILURE_KEY
from kfp_pachyderm.provenance.record import StepRecord
from kfp_pachyderm.provenance.stored_record import DIGEST_KEY, entries

#: Seconds for listing all files of the output: Pachyderm computes the hashes of large ones again.
WALK = 600.0


def write_record(
    pachd: Pachd,
    record: StepRecord,
    execution: Execution,
    info: pps.JobInfo,
    sidecar: str = "",
    objects: int | None = None,
    behind: Future[list[str]] | None = None,
) -> StepRecord:
    """Writes the record onto the output commit, and the outputs `commit` and `pachyderm`.

    Args:
        pachd: the connection.
        record: the record of the job's start.
        execution: what KFP gave the launcher; the child has written its own outputs.
        info: the job, which has succeeded.
        sidecar: as in StepRecord.
        objects: as in StepRecord.
        behind: the result of `inputs_tree`, if it is being computed already.

    Returns:
        The record as it was written.
    """
    looked = beside(lambda: _files(pachd, record.output))
    behind = behind or beside(lambda: inputs_tree(pachd, record))
    commit = jobs.inspect_output(pachd, record.output)
    ended = replace(
        record,
        version=info.pipeline_version,
        state=jobs.state_name(info),
        sidecar=sidecar,
        started=info.started.isoformat(timespec="milliseconds"),
        finished=info.finished.isoformat(timespec="milliseconds"),
        duration=(info.finished - info.started).total_seconds(),
        size=commit.details.size_bytes or commit.size_bytes_upper_bound,
        objects=objects,
        files=looked.result(),
    )
    stored = entries(ended)
    # A job that another run has used before (an existing pipeline's) keeps that run's record.
    if all(commit.metadata.get(key) == value for key, value in record.task.identity().items()):
        jobs.write_metadata(pachd, record.output, stored)
    metadata = {**ended.metadata(), "record_digest": stored[DIGEST_KEY]}
    write_outputs(execution, record.output, page(ended, behind.result()), metadata)
    said = f"{size(ended.size)} in {duration(ended.duration)}"
    say(f"job {ended.job} {ended.state}: {said}; {look_further(ended.output)}")
    return ended


def look_further(output: Reference) -> str:
    """Returns the command that shows the commit's lineage, for the log."""
    return f"look further: kfp-pachyderm lineage {output}"


def _files(pachd: Pachd, output: Reference) -> FileList | None:
    try:
        return file_list(files_of(pachd, output, WALK))
    except AuthenticationError as error:  # an existing pipeline, of which the token may see the state only
        say(f"the hashes of the files in {output} are not recorded: {error}")
        return None


def write_outputs(
    execution: Execution, commit: Reference, text: str, metadata: Mapping[str, str | int | float]
) -> None:
    """Writes the outputs `commit` and `pachyderm`, if the component has them.

    Args:
        execution: what KFP gave the launcher.
        commit: the output commit.
        text: the artifact's page, in Markdown.
        metadata: the artifact's metadata.
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
    """Writes the file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.kfp-pachyderm")
    draft.write_text(text, encoding="utf-8", errors="backslashreplace")
    os.replace(draft, file)


def write_failure(
    pachd: Pachd, output: Reference, record: StepRecord | None, state: str, reason: str
) -> None:
    """Tries to write the reason of a failure onto the output commit: the job only names the failed datum.

    Args:
        pachd: the connection.
        output: the output commit.
        record: the record of the job's start; None: it could not be written.
        state: the state in which the job will end.
        reason: why the step failed.
    """
    reason = brief(reason)
    said = entries(replace(record, state=state, reason=reason)) if record else {}
    try:
        jobs.write_metadata(pachd.patient(2.0), output, {FAILURE_KEY: reason, **said})
    except PachydermError as error:
        say(f"the reason could not be written on {output}: {error}")
