"""The record of one step: which data, which code, which run, what came out."""

from __future__ import annotations

from dataclasses import dataclass, field

from kfp_pachyderm.pachyderm.references import Reference

#: Prefix of everything that kfp-pachyderm writes on a commit.
PREFIX = "kfp-pachyderm/"
RUN_KEY, TASK_KEY, SALT_KEY, ATTEMPT_KEY = (PREFIX + name for name in ("run", "task", "salt", "attempt"))


@dataclass(frozen=True)
class KfpTask:
    """KFP's side of a record: which task made the commit, out of which component.

    Args:
        pipeline: KFP pipeline.
        run: run ID.
        task: task name.
        salt: tells executions of the task in the run apart; "" with kfp.local.
        attempt: tells retries apart.
        component: the component's name.
        digest: digest of the component before it was wrapped.
        image: the component's image.
        package: version of kfp-pachyderm.
        keys: how keys are encoded as names of files (`adapter.encoding`); "": not at all.
    """

    pipeline: str
    run: str
    task: str
    salt: str
    attempt: str
    component: str
    digest: str
    image: str
    package: str
    keys: str = ""

    def commit_metadata(self) -> dict[str, str]:
        """What stands on the output commit from the moment that the job is opened."""
        every = {
            "pipeline": self.pipeline,
            "run": self.run,
            "task": self.task,
            "salt": self.salt,
            "attempt": self.attempt,
            "component": self.component,
            "component-digest": self.digest,
            "image": self.image,
            "version": self.package,
            "keys": self.keys,
        }
        return {PREFIX + name: value for name, value in every.items() if value}

    def artifact_metadata(self) -> dict[str, str]:
        """What stands in the artifact `pachyderm`; without empty values."""
        every = {
            "kfp_pipeline": self.pipeline,
            "kfp_run": self.run,
            "kfp_task": self.task,
            "kfp_attempt": self.attempt,
            "component": self.component,
            "component_digest": self.digest,
            "image": self.image,
            "kfp_pachyderm_version": self.package,
            "keys": self.keys,
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
    """One finished step.

    Args:
        task: KFP's side.
        project: Pachyderm project.
        pipeline: Pachyderm pipeline.
        version: the pipeline's version.
        job: the job's ID.
        state: the job's state, "SUCCESS".
        inputs: input's name → commit.
        output: the output commit.
        sidecar: the sidecar's S3 endpoint; "" when the step did not attach to it.
        started: ISO 8601, when the job began.
        finished: ISO 8601, when it ended.
        duration: seconds between the two.
        size: bytes in the output commit.
        objects: objects that the adapter sent; None with gateway="direct".
    """

    task: KfpTask
    project: str
    pipeline: str
    version: int
    job: str
    state: str
    inputs: dict[str, Reference]
    output: Reference
    sidecar: str
    started: str
    finished: str
    duration: float
    size: int
    objects: int | None = field(default=None)

    def metadata(self) -> dict[str, str | int | float]:
        """Flat, no nulls: KFP takes nothing else as an artifact's metadata."""
        every: dict[str, str | int | float | None] = {
            "job": self.job,
            "project": self.project,
            "pipeline": self.pipeline,
            "pipeline_version": self.version,
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
        }
        known = {name: value for name, value in every.items() if value is not None and value != ""}
        return {**known, **self.task.artifact_metadata()}
