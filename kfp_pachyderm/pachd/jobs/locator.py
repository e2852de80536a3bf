"""Finds the addresses of a job's holder and sidecar: by cluster DNS, or by asking the embedded Pachyderm."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from dataclasses import dataclass

from kfp_pachyderm.errors import PermanentError, ProtocolError
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.port_forward import reached_url
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob

_LOCATE = "/kfp_pachyderm.embedded.Locator/Locate"


@dataclass(frozen=True)
class Places:
    """The addresses of one running job.

    Args:
        holder: the holder, "http://host:port".
        sidecar_grpc: the sidecar's PFS, "grpc://host:port".
        sidecar_s3: the sidecar's S3, "http://host:port".
        recorded: the sidecar's S3 by its name in the cluster, for the record; a port-forward's local port
            means nothing there.
    """

    holder: str
    sidecar_grpc: str
    sidecar_s3: str
    recorded: str = ""


def service_name(job: ClaimedJob) -> str:
    """Returns the name of the job's Kubernetes Service.

    Source: Pachyderm src/internal/ppsutil/util.go, SidecarS3GatewayService.
    """
    return "s3-" + hashlib.md5(f"{job.project}/{job.pipeline}{job.id}".encode()).hexdigest()


def locate(pachd: Pachd, job: ClaimedJob) -> Places:
    """Finds the job's addresses. Call it only after the job's datum has started.

    The job's DNS name does not exist earlier, and DNS caches keep the miss.

    Raises:
        PermanentError: pachd's address does not have the namespace that the workers are in.
        PachydermUnreachableError: the port-forward has ended.
        NotFoundError: the embedded Pachyderm does not know the job, or the job has ended.
    """
    if pachd.in_cluster:
        return _from_here(_by_dns(pachd.address.host, job))
    request = json.dumps({"project": job.project, "pipeline": job.pipeline, "job": job.id}).encode()
    try:
        answer = json.loads(pachd.raw(_LOCATE, request))
    except ProtocolError:  # UNIMPLEMENTED: a pachd in a cluster
        pachd.in_cluster = True
        return locate(pachd, job)
    # A server that listens on all addresses answers 0.0.0.0: the client reaches it by pachd's host.
    here = {name: url.replace("//0.0.0.0:", f"//{pachd.address.host}:") for name, url in answer.items()}
    return _from_here(Places(here["holder"], here["sidecar_grpc"], here["sidecar_s3"]))


def _from_here(places: Places) -> Places:
    holder, grpc, s3 = map(reached_url, (places.holder, places.sidecar_grpc, places.sidecar_s3))
    return Places(holder, grpc, s3, places.sidecar_s3)


def _by_dns(pachd_host: str, job: ClaimedJob) -> Places:
    host = f"{service_name(job)}.{_namespace(pachd_host)}"
    return Places(f"http://{host}:8080", f"grpc://{host}:1653", f"http://{host}:1600")


def _namespace(pachd_host: str) -> str:
    labels = pachd_host.split(".")
    try:
        ipaddress.ip_address(pachd_host)
    except ValueError:
        if len(labels) > 1:
            return labels[1]
    raise PermanentError(
        f"pachd's address {pachd_host!r} does not say its namespace, and a job is reached there by name; "
        "write it as <service>.<namespace>, like grpc://pachd.pachyderm:30650"
    )
