"""The message from the launcher to the sending process: the facts of one event, and the names in it.

Names follow OpenLineage's naming conventions (OpenLineage/OpenLineage, website/docs/spec/naming.md), which
have no entry for Pachyderm or Kubeflow. A dataset is named like those of other stores with a host: the
namespace is scheme, host and port, the name is `project/repo`. A job is named like Airflow's: pipeline.task.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kfp_pachyderm.pachd.references import Reference

EventType = Literal["START", "COMPLETE", "FAIL", "ABORT"]
#: OpenLineage's integrations read the namespace of their jobs from this variable.
NAMESPACE_VARIABLE = "OPENLINEAGE_NAMESPACE"
#: Kubernetes mounts the name of the pod's namespace here.
_KUBERNETES_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


@dataclass(frozen=True)
class Dataset:
    """One commit of a repo.

    Args:
        name: `project/repo`.
        version: the commit's ID.
    """

    name: str
    version: str

    @classmethod
    def of(cls, commit: Reference) -> Dataset:
        """Returns the dataset of a resolved commit."""
        return cls(f"{commit.project}/{commit.repo}", commit.version)


@dataclass(frozen=True)
class Facts:
    """The facts of one event.

    Args:
        event: the new state of the OpenLineage run.
        time: ISO 8601, with a time zone.
        store: the namespace of the datasets.
        scheduler: the namespace of the jobs.
        pipeline: name of the KFP pipeline; "": not known.
        run: ID of the KFP run; "": not known.
        task: name of the KFP task.
        job: ID of the Pachyderm job.
        inputs: the commits that the job reads.
        output: the commit that the job writes.
        reason: why the step did not succeed; "" if it did, or has not ended.
        size: bytes in the output; None: not known.
        files: files in the output; None: not known.
    """

    event: EventType
    time: str
    store: str
    scheduler: str
    pipeline: str
    run: str
    task: str
    job: str
    inputs: tuple[Dataset, ...]
    output: Dataset
    reason: str = ""
    size: int | None = None
    files: int | None = None

    def line(self) -> bytes:
        """Returns the message as one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def run_id(self) -> str:
        """The ID of the OpenLineage run: the Pachyderm job's ID, a UUID without dashes, with dashes."""
        return str(uuid.UUID(hex=self.job))

    @property
    def job_name(self) -> str:
        """The name of the OpenLineage job: `pipeline.task`."""
        return ".".join(filter(None, (self.pipeline, self.task)))

    @property
    def parent_id(self) -> str:
        """The ID of the OpenLineage run that stands for the KFP run.

        A run of kfp.local has no UUID: its ID here is a UUID made from `scheduler` and `run`.
        """
        try:
            return str(uuid.UUID(self.run))
        except ValueError:
            return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.scheduler}/{self.run}"))


def read(line: bytes) -> Facts:
    """Reads a message that `Facts.line` made."""
    data = json.loads(line)
    data["inputs"] = tuple(Dataset(**one) for one in data["inputs"])
    return Facts(**{**data, "output": Dataset(**data["output"])})


def now() -> str:
    """Returns the present time as events write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def store(address: str) -> str:
    """Returns the namespace of the datasets of one Pachyderm.

    Args:
        address: pachd's address, "grpc://host:port".
    """
    return f"pachyderm://{address.partition('://')[2]}"


def scheduler(env: Mapping[str, str] = os.environ) -> str:
    """Returns the namespace of the jobs: OPENLINEAGE_NAMESPACE, or `kfp://` and the Kubernetes namespace."""
    named = env.get(NAMESPACE_VARIABLE, "").strip()
    return named or f"kfp://{_kubernetes_namespace() or 'local'}"


def _kubernetes_namespace() -> str:
    try:
        with open(_KUBERNETES_NAMESPACE) as file:
            return file.read().strip()
    except OSError:
        return ""
