"""The record of one step: which data, which code, which parameters, which run, what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.file_list import FileList
from kfp_pachyderm.provenance.kfp_task import KfpTask

#: The state of a step that has not ended, or whose launcher never could say how it did.
OPEN = "OPEN"


@dataclass(frozen=True)
class Source:
    """Where the pipeline's file stood when it was compiled.

    Args:
        commit: the git commit.
        dirty: whether tracked files of the work tree differed from it; None: that could not be found out.
        file: the pipeline's file, from the work tree's top; "" when there is none (a notebook).
    """

    commit: str
    dirty: bool | None = None
    file: str = ""


#: How KFP calls what it adds to a task's inputs, where a value has an output or a parameter in its text, or
#: in a list (kfp/dsl/pipeline_channel.py, full_name); the value itself has it in its place.
_CHANNEL = "pipelinechannel--"


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a task that its component has."""
    return {name: value for name, value in values.items() if not name.startswith(_CHANNEL)}


@dataclass(frozen=True)
class Hashed:
    """What stands for a value that is too large for a record.

    Args:
        digest: "sha256:…" of the value's JSON, keys sorted, without spaces.
        size: bytes of that JSON.
    """

    digest: str
    size: int


@dataclass(frozen=True)
class Artifact:
    """A KFP artifact that a step was given or has made.

    Args:
        type: its schema's title and version, "system.Model@0.0.1".
        uri: where KFP keeps it.
    """

    type: str
    uri: str


@dataclass(frozen=True)
class Interface:
    """What a component has beside parameters, without what `s3_enabled` adds.

    Args:
        outputs: names of its output parameters.
        made: its output artifacts.
        given: its input artifacts; several where the input takes a list.
    """

    outputs: tuple[str, ...] = ()
    made: dict[str, Artifact] = field(default_factory=dict)
    given: dict[str, tuple[Artifact, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Code:
    """What ran, and with which parameters.

    Args:
        command: the component's own command and arguments, KFP's placeholders as they are; empty where it
            is not known, or too large.
        parameters: the KFP parameters' values, without private ones and without commits; a `Hashed` stands
            for a value that is too large.
        private: names of the parameters that are left out.
        command_hash: stands for a command that is too large.
        kfp: version of kfp that compiled the pipeline; "" where it is not known.
        source: where the pipeline's file stood; None: in no git work tree, or not known.
        settings: what `s3_enabled` was told, as the launcher reads it (launcher/config.py, without what else
            stands here); empty: not known, of an older release or of a reusable component.
        interface: what the component has beside parameters, known where the settings are.
    """

    command: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    private: tuple[str, ...] = ()
    command_hash: Hashed | None = None
    kfp: str = ""
    source: Source | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    interface: Interface = field(default_factory=Interface)

    def artifact_metadata(self) -> dict[str, str]:
        """What stands in the artifact `pachyderm`; without empty values."""
        large = {name: one.digest for name, one in self.parameters.items() if isinstance(one, Hashed)}
        kept = {name: one for name, one in self.parameters.items() if name not in large}
        source = self.source or Source("")
        every = {
            "parameters": json.dumps(kept, sort_keys=True) if kept else "",
            "large_parameters": json.dumps(large, sort_keys=True) if large else "",
            "private_parameters": ", ".join(self.private),
            "kfp_version": self.kfp,
            "git_commit": source.commit,
            "git_file": source.file,
            "git_dirty": "" if source.dirty is None else str(source.dirty).lower(),
        }
        return {name: value for name, value in every.items() if value}


@dataclass(frozen=True)
class CommitRecord:
    """What a reusable component did with one commit.

    Args:
        task: KFP's side.
        commit: the commit.
        facts: what else is known of it: path, files, bytes, ...
    """

    task: KfpTask
    commit: Reference
    facts: dict[str, str | int]

    def metadata(self) -> dict[str, str | int]:
        """Flat, no nulls: KFP takes nothing else as an artifact's metadata."""
        return {"commit": str(self.commit), **self.facts, **self.task.artifact_metadata()}


@dataclass(frozen=True)
class StepRecord:
    """One step, as its output commit tells of it (`provenance.stored_record`); what is not known is empty.

    Args:
        task: KFP's side.
        project: Pachyderm project.
        output: the output commit.
        pipeline: Pachyderm pipeline.
        version: the pipeline's version; 0 until the job has ended.
        job: the job's ID.
        state: the job's state when the record was written: "SUCCESS", "FAILURE", "KILLED", or `OPEN`.
        inputs: input's name → commit.
        sidecar: the sidecar's S3 endpoint; "" when the step did not attach to it.
        started: ISO 8601, when the job began.
        finished: ISO 8601, when it ended.
        duration: seconds between the two.
        size: bytes in the output commit.
        objects: objects that the adapter sent; None with gateway="direct".
        code: what ran.
        files: the files in the output commit; None: the step has not ended well.
        reason: why it failed.
        sibling_of: the first of the step's pipelines, where another one ran the job.
    """

    task: KfpTask
    project: str
    output: Reference
    pipeline: str = ""
    version: int = 0
    job: str = ""
    state: str = OPEN
    inputs: dict[str, Reference] = field(default_factory=dict)
    sidecar: str = ""
    started: str = ""
    finished: str = ""
    duration: float = 0.0
    size: int = 0
    objects: int | None = None
    code: Code = field(default_factory=Code)
    files: FileList | None = None
    reason: str = ""
    sibling_of: str = ""

    def metadata(self) -> dict[str, str | int | float]:
        """Flat, no nulls: KFP takes nothing else as an artifact's metadata."""
        every: dict[str, str | int | float | None] = {
            "job": self.job,
            "project": self.project,
            "pipeline": self.pipeline,
            "pipeline_version": self.version,
            "sibling_of": self.sibling_of,
            "state": self.state,
            "output_commit": str(self.output),
            "input_commits": ", ".join(map(str, self.inputs.values())),
            **{f"input_{name}": str(commit) for name, commit in self.inputs.items()},
            "sidecar": self.sidecar,
            "started": self.started,
            "finished": self.finished,
            "duration_seconds": round(self.duration, 3),
            "size_bytes": self.size,
            "objects": self.objects,
            "files": self.files.count if self.files else None,
            "files_digest": self.files.digest if self.files else None,
        }
        known = {name: value for name, value in every.items() if value is not None and value != ""}
        return {**known, **self.task.artifact_metadata(), **self.code.artifact_metadata()}
