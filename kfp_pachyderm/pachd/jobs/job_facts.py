"""Reads thousands of jobs quickly: decodes only the fields of a JobInfo that a history needs.

`commits/commit_facts.py` does the same for commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kfp_pachyderm.pachd.commits.commit_facts import timestamp
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.states import name_of
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pps
from kfp_pachyderm.protocol.protobuf import fields


@dataclass(frozen=True)
class JobFacts:
    """One job (src/pps/pps.proto, JobInfo).

    Args:
        version: the pipeline's version.
        state: "SUCCESS", "FAILURE", "KILLED", "RUNNING", ...; "STATE_99" for one that this release does not
            know.
        reason: Pachyderm's reason for the state, "" for none.
        started: when user code began; None: not yet.
        finished: when it ended; None: not yet.
        image: the pipeline's image; "" unless details were asked for.
    """

    version: int
    state: str
    reason: str
    started: datetime | None
    finished: datetime | None
    image: str = ""


def inspect(pachd: Pachd, output: Reference, details: bool = False) -> JobFacts:
    """Inspects the job that made an output commit.

    Args:
        pachd: the connection.
        output: the output commit.
        details: whether to ask for details, too. They need the permission PIPELINE_LIST_JOB, and the
            pipeline's version must still exist.

    Raises:
        NotFoundError: no job made the commit, or the job was deleted.
    """
    job = ClaimedJob(output.project, output.repo, output.version).message()
    request = bytes(pps.InspectJobRequest(job=job, details=details))
    return decode(pachd.raw("/pps_v2.API/InspectJob", request))


def decode(data: bytes) -> JobFacts:
    """Decodes a JobInfo."""
    found: dict[int, Any] = dict(fields(data))
    transform: dict[int, Any] = dict(fields(dict(fields(found.get(16, b""))).get(1, b"")))  # type: ignore[arg-type]
    return JobFacts(
        found.get(2, 0),
        name_of(found.get(11, 0)),
        found.get(12, b"").decode().strip(),
        timestamp(found.get(14)),
        timestamp(found.get(15)),
        transform.get(1, b"").decode(),
    )
