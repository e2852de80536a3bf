"""What one event says, and the names in it: the message from the launcher to the sending process.

Names follow OpenLineage's naming conventions (OpenLineage/OpenLineage, website/docs/spec/naming.md), which
have no entry for Pachyderm or Kubeflow. A dataset is named as in other stores of a host: the namespace has
scheme, host and port, the name says what is in there. A job is named as Airflow's: pipeline and task.
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
#: The variable by which OpenLineage's integrations take the namespace of their jobs.
NAMESPACE_VARIABLE = "OPENLINEAGE_NAMESPACE"
#: Where every pod has the name of its Kubernetes namespace.
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
        """The dataset of a resolved commit."""
        return cls(f"{commit.project}/{commit.repo}", commit.version)


@dataclass(frozen=True)
class Facts:
    """One event.

    Args:
        event: what has become of the run.
        time: ISO 8601, with a time zone.
        store: the namespace of the datasets.
        scheduler: the namespace of the jobs.
        pipeline: KFP's pipeline; "" where that is not known.
        run: KFP's run; "" where that is not known.
        task: KFP's task.
        job: ID of the Pachyderm job.
        inputs: what the job reads.
        output: what it writes.
        reason: why it did not succeed.
        size: bytes in the output; None: not known yet.
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
        """The message, one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def run_id(self) -> str:
        """The OpenLineage run: the Pachyderm job's ID, which is a UUID without its dashes."""
        return str(uuid.UUID(hex=self.job))

    @property
    def job_name(self) -> str:
        """The OpenLineage job."""
        return ".".join(filter(None, (self.pipeline, self.task)))

    @property
    def parent_id(self) -> str:
        """The OpenLineage run that stands for KFP's; kfp.local's have no UUID, so it is made of the name."""
        try:
            return str(uuid.UUID(self.run))
        except ValueError:
            return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.scheduler}/{self.run}"))


def read(line: bytes) -> Facts:
    """The message that `Facts.line` wrote."""
    data = json.loads(line)
    data["inputs"] = tuple(Dataset(**one) for one in data["inputs"])
    return Facts(**{**data, "output": Dataset(**data["output"])})


def now() -> str:
    """The time of an event."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def store(address: str) -> str:
    """The namespace of the datasets of a Pachyderm.

    Args:
        address: pachd's, "grpc://host:port".
    """
    return f"pachyderm://{address.partition('://')[2]}"


def scheduler(env: Mapping[str, str] = os.environ) -> str:
    """The namespace of the jobs: OPENLINEAGE_NAMESPACE, else by the pod's Kubernetes namespace."""
    named = env.get(NAMESPACE_VARIABLE, "").strip()
    return named or f"kfp://{_kubernetes_namespace() or 'local'}"


def _kubernetes_namespace() -> str:
    try:
        with open(_KUBERNETES_NAMESPACE) as file:
            return file.read().strip()
    except OSError:
        return ""
