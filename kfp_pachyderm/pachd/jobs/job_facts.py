"""Jobs by the thousand: the few fields that a history needs, as `commits` has them of commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kfp_pachyderm.pachd.commits.commit_facts import timestamp
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pps
from kfp_pachyderm.protocol.protobuf import fields


@dataclass(frozen=True)
class JobFacts:
    """What Pachyderm says of one job (src/pps/pps.proto, JobInfo).

    Args:
        version: of the pipeline.
        state: "SUCCESS", "FAILURE", "KILLED", "RUNNING", ...
        reason: why it is so; "".
        started: when user code began; None: not yet.
        finished: when it ended; None: not yet.
        image: of the pipeline, where details were asked for.
    """

    version: int
    state: str
    reason: str
    started: datetime | None
    finished: datetime | None
    image: str = ""


def inspect(pachd: Pachd, output: Reference, details: bool = False) -> JobFacts:
    """The job that made an output commit.

    Args:
        pachd: the connection.
        output: the commit.
        details: also what needs the right PIPELINE_LIST_JOB, and the pipeline's version to be there.

    Raises:
        NotFoundError: there is none: the commit is no job's, or the job was deleted.
    """
    job = ClaimedJob(output.project, output.repo, output.version).message()
    request = bytes(pps.InspectJobRequest(job=job, details=details))
    return decode(pachd.raw("/pps_v2.API/InspectJob", request))


def decode(data: bytes) -> JobFacts:
    """A JobInfo of the wire."""
    found: dict[int, Any] = dict(fields(data))
    transform: dict[int, Any] = dict(fields(dict(fields(found.get(16, b""))).get(1, b"")))  # type: ignore[arg-type]
    return JobFacts(
        found.get(2, 0),
        str(pps.JobState(found.get(11, 0)).name).removeprefix("JOB_"),
        found.get(12, b"").decode().strip(),
        timestamp(found.get(14)),
        timestamp(found.get(15)),
        transform.get(1, b"").decode(),
    )
