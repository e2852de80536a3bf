"""The record of one step: its KFP run, code, parameters, input commits and output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.file_list import FileList
from kfp_pachyderm.provenance.kfp_task import KfpTask

#: The state of a step that has not ended, or whose launcher died before it could record how it ended.
OPEN = "OPEN"


@dataclass(frozen=True)
class Source:
    """The git state of the pipeline's file when it was compiled.

    Args:
        commit: the git commit.
        dirty: whether tracked files of the work tree differed from the commit, or the file was not tracked;
            None: not known.
        file: the pipeline's file, relative to the work tree's top; "": there is none (a notebook).
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
    """A value that is too large for a record, as digest and size.

    Args:
        digest: "sha256:…" of the value's JSON, keys sorted, without spaces.
        size: bytes of that JSON.
    """

    digest: str
    size: int


@dataclass(frozen=True)
class Artifact:
    """A KFP artifact that a step read or wrote.

    Args:
        type: its schema's title and version, for example "system.Model@0.0.1".
        uri: its URI in KFP's artifact store.
    """

    type: str
    uri: str


@dataclass(frozen=True)
class Interface:
    """A component's outputs and artifacts, without those that `s3_enabled` adds.

    Args:
        outputs: names of its output parameters.
        made: its output artifacts by name.
        given: its input artifacts by name; an input that takes a list has several.
    """

    outputs: tuple[str, ...] = ()
    made: dict[str, Artifact] = field(default_factory=dict)
    given: dict[str, tuple[Artifact, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Code:
    """What ran, and with which parameters.

    Args:
        command: the component's own command and arguments, with KFP's placeholders; empty: not known, or too
            large.
        parameters: the KFP parameters' values, without private parameters and input commits; a `Hashed`
            stands for a value that is too large.
        private: names of the private parameters, whose values are left out.
        command_hash: digest and size of a command that is too large; None: `command` has it.
        kfp: version of kfp that compiled the pipeline; "": not known.
        source: git state of the pipeline's file; None: it was in no git work tree, or that is not known.
        settings: the arguments of `s3_enabled`, as the launcher's config has them (launcher/config.py),
            without those that other fields hold; empty: too large, or not known (an older release, a reusable
            component).
        interface: the component's outputs and artifacts; empty where `settings` is not known.
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
        """The code's part of the metadata of KFP's artifact `pachyderm`; without empty values."""
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
        task: the KFP task.
        commit: the commit.
        facts: what else the component knows of the commit: path, files, bytes, ...
    """

    task: KfpTask
    commit: Reference
    facts: dict[str, str | int]

    def metadata(self) -> dict[str, str | int]:
        """Metadata of KFP's artifact `pachyderm`: flat and without nulls, as KFP requires."""
        return {"commit": str(self.commit), **self.facts, **self.task.artifact_metadata()}


@dataclass(frozen=True)
class StepRecord:
    """The record of one step, which its output commit holds (`provenance.stored_record`).

    Args:
        task: the KFP task.
        project: the Pachyderm project.
        output: the output commit.
        pipeline: the Pachyderm pipeline.
        version: the pipeline's version; 0 until the job has ended.
        job: the job's ID.
        state: the job's state when the record was written: "SUCCESS", "FAILURE", "KILLED", or `OPEN`.
        inputs: input's name → commit.
        sidecar: the sidecar's S3 endpoint; "": the step never attached to it.
        started: when the job began, ISO 8601; "": it has not.
        finished: when the job ended, ISO 8601; "": it has not.
        duration: seconds from `started` to `finished`.
        size: bytes in the output commit.
        objects: number of objects that the adapter sent; None with gateway="direct".
        code: the code and its parameters.
        files: the files in the output commit; None: the step has not succeeded, or they could not be listed.
        reason: why the step failed; "": it did not.
        sibling_of: where another of the step's pipelines than the first ran the job: the first one's name.
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
        """Metadata of KFP's artifact `pachyderm`: flat and without nulls, as KFP requires."""
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
