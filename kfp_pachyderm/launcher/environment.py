"""The child's environment: where its S3 is, with which keys, and which job it works in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import kfp_pachyderm
from kfp_pachyderm.runtime import VARIABLE, VERSION, Step

#: pachd's token, and the way there by the Kubernetes API, are not the user's; the others would beat the keys
#: of this step in S3 clients.
_REMOVED = (
    "KFP_PACHYDERM_TOKEN",
    "KFP_PACHYDERM_FORWARDER",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)


def child_environment(
    step: Step, sidecar: str, folder: Path, env: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment for one datum's run of the user's command.

    Args:
        step: what the child is told of its job.
        sidecar: the sidecar's own S3 endpoint.
        folder: a private folder of the step, for what the child imports.
        env: the launcher's own environment.
    """
    kept = {name: value for name, value in env.items() if name not in _REMOVED}
    return {**kept, **_s3(step), **_job(step, sidecar), **_python(folder, env), **_no_proxy(step, env)}


def _s3(step: Step) -> dict[str, str]:
    return {
        "S3_ENDPOINT": step.endpoint,
        "AWS_ENDPOINT_URL": step.endpoint,
        "AWS_ENDPOINT_URL_S3": step.endpoint,
        "AWS_ACCESS_KEY_ID": step.access_key,
        "AWS_SECRET_ACCESS_KEY": step.secret_key,
        "AWS_REGION": step.region,
        "AWS_DEFAULT_REGION": step.region,
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ALLOW_HTTP": "true",
    }


def _job(step: Step, sidecar: str) -> dict[str, str]:
    commits = {f"{name}_COMMIT": commit.rpartition("@")[2] for name, commit in step.inputs.items()}
    files = {"PACH_INPUTS": step.files} if step.files else {}
    return {
        **commits,
        **files,
        "PACH_JOB_ID": step.job,
        "PACH_OUTPUT_COMMIT_ID": step.job,
        "PACH_DATUM_ID": step.datum,
        "PACHYDERM_S3_SIDECAR": sidecar,
        "PACHYDERM_S3_INPUT_BUCKETS": ",".join(step.inputs),
        "PACHYDERM_S3_OUTPUT_BUCKET": step.output_bucket or "",
        VARIABLE: json.dumps({"version": VERSION, **asdict(step)}),
    }


def _python(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Makes `kfp_pachyderm.runtime` importable, and nothing else that the launcher has installed."""
    imports = folder / "import"
    link = imports / "kfp_pachyderm"
    if not link.is_symlink():
        imports.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(kfp_pachyderm.__file__).parent, target_is_directory=True)
    before = env.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (before, str(imports))))}


def _no_proxy(step: Step, env: Mapping[str, str]) -> dict[str, str]:
    """The step's endpoint is never reached through a proxy."""
    host = step.endpoint.partition("://")[2].rpartition(":")[0]
    before = env.get("no_proxy") or env.get("NO_PROXY") or ""
    after = ",".join(filter(None, (before, host)))
    return {"no_proxy": after, "NO_PROXY": after}
