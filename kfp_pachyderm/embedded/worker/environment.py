"""The environment variables of user code (Pachyderm src/server/worker/driver/driver.go, UserCodeEnv)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.pps import inputs
from kfp_pachyderm.embedded.pps.jobs import Job
from kfp_pachyderm.embedded.worker.datums import Datum

#: Prefixes of the server's own environment variables that user code must not get.
_HIDDEN = ("AWS_", "PACH_", "PPS_", "S3_ENDPOINT", "KFP_PACHYDERM_", "POSTGRES_PASSWORD")


def on_this_machine(host: str) -> str:
    """The address by which this machine reaches what listens on `host`, an IPv4 address or "0.0.0.0"."""
    return "127.0.0.1" if host == "0.0.0.0" else host


@dataclass(frozen=True)
class Ports:
    """The address and ports of a user-code process and its sidecar."""

    host: str
    holder: int
    s3: int
    grpc: int


def user_code(
    job: Job,
    spec_commit: str,
    details: pps.PipelineInfoDetails,
    datum: Datum,
    folder: Path,
    ports: Ports,
    fileset: str,
) -> dict[str, str]:
    """The environment of one run of user code.

    Args:
        job: the job.
        spec_commit: ID of the pipeline version's spec commit.
        details: the pipeline's details.
        datum: the datum.
        folder: the folder that takes the place of /pfs, which only a container can have.
        ports: the ports of this process and its sidecar.
        fileset: the value of FILESET_ID, which stays the same over a datum's tries.
    """
    key = job.key
    env = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
    env |= details.transform.env
    address = on_this_machine(ports.host)
    env |= {
        "PPS_PROJECT_NAME": key.project,
        "PPS_PIPELINE_NAME": key.pipeline,
        "PPS_SPEC_COMMIT": spec_commit,
        "PPS_POD_NAME": f"{key.project}-{key.pipeline}-v{job.version}-embedded".replace("_", "-").lower(),
        "PPS_WORKER_IP": address,
        "PEER_PORT": str(ports.grpc),
        "PACH_NAMESPACE": "embedded",
        "S3GATEWAY_PORT": str(ports.s3),
        "KFP_PACHYDERM_HOLDER_PORT": str(ports.holder),
        "KFP_PACHYDERM_HOLDER_HOST": ports.host,
        "KFP_PACHYDERM_PFS": str(folder),
    }
    for one in datum.files:
        env[one.input] = str(folder / one.input / one.relative)
        env[f"{one.input}_COMMIT"] = one.commit.set_id
    env |= {
        "PACH_DATUM_ID": datum.id,
        "PACH_JOB_ID": key.id,
        "PACH_OUTPUT_COMMIT_ID": key.id,
        "FILESET_ID": fileset,
    }
    if details.s3_out or inputs.has_s3(details.input):
        env["S3_ENDPOINT"] = f"http://{address}:{ports.s3}"
        env["AWS_ACCESS_KEY_ID"] = env["AWS_SECRET_ACCESS_KEY"] = job.token or "default"
    if job.token:
        env["PACH_TOKEN"] = job.token
    return env
