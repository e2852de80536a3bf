"""The Pachyderm pipeline that a step drives: its name, its spec, the rights on it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import betterproto

from kfp_pachyderm.errors import (
    AuthenticationError,
    SpecError,
)
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, repo_message
from kfp_pachyderm.pachd.sdk import auth, pfs, pps

OWNER_KEY, OWNER = "kfp-pachyderm/owner", "kfp-pachyderm"
#: Annotations that say who uses the pipeline: which component of which KFP pipeline.
KFP_PIPELINE_KEY, COMPONENT_KEY = "kfp-pachyderm/pipeline", "kfp-pachyderm/component"
#: The annotation of a step's further pipelines, made for its jobs side by side: the name of the first.
SIBLING_KEY = "kfp-pachyderm/sibling-of"
#: The sidecar keeps up to 500 MB of what a step writes in memory
#: (src/internal/storage/fileset/unordered_writer.go), and its Go runtime takes the request as its limit.
SIDECAR_MEMORY = "1Gi"
#: What a step needs on the output of a pipeline that exists: see its jobs, end them.
_RIGHTS = ("PIPELINE_LIST_JOB", "REPO_WRITE")
#: How claim branches begin.
CLAIM_PREFIX = "kfp_"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True)
class ClaimedInput:
    """One input of the pipeline, pinned to a commit.

    Args:
        name: the bucket or folder.
        commit: the resolved commit.
        branch: the claim branch in the commit's repo; nobody but a step moves it.
        s3: True for a bucket.
        glob: Pachyderm's glob.
    """

    name: str
    commit: Reference
    branch: str
    s3: bool = True
    glob: str = "/"


@dataclass(frozen=True)
class PipelinePlan:
    """What a step wants its pipeline to be.

    Args:
        project: Pachyderm project.
        name: pipeline.
        inputs: its inputs.
        s3_out: whether the job has the bucket `out`.
        image: the image that the holder runs in.
        attach_timeout: seconds that the holder waits for the launcher.
        lease: seconds that the holder waits for a heartbeat.
        fields: further fields of the pipeline spec, in Pachyderm's JSON, spelled like_this.
        kfp_pipeline: the KFP pipeline that the step belongs to; "" when that is not known.
        component: the KFP component that the step is made from.
        sidecar_memory: memory request of the sidecar; None: that of `fields`, else the default.
        sibling_of: the first of the step's pipelines, where this is another one.
    """

    project: str
    name: str
    inputs: tuple[ClaimedInput, ...]
    s3_out: bool
    image: str
    attach_timeout: float
    lease: float
    fields: dict[str, Any]
    kfp_pipeline: str = ""
    component: str = ""
    sidecar_memory: str | None = None
    sibling_of: str = ""

    def __str__(self) -> str:
        return f"{self.project}/{self.name}"


def check_name(project: str, name: str) -> str:
    """The name, if Pachyderm and Kubernetes take it.

    Raises:
        SpecError: they don't (Pachyderm src/server/pps/server/api_server.go, validatePipelineRequest).
    """
    longest = longest_name(project)
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise SpecError(
            f"{name!r} can't be a Pachyderm pipeline: small letters, digits and dashes, no dash at the ends, "
            f"at most {longest} characters in project {project}; give another by s3_enabled(name=...)"
        )
    return name


def longest_name(project: str) -> int:
    """Characters that a pipeline's name may have in a project (validatePipelineRequest, as above)."""
    return min(51, 58 - len(project))


def pfs_inputs(info: pps.PipelineInfo) -> Iterator[pps.PfsInput]:
    """What a step's pipeline reads: a cross of branches, or one."""
    given = info.details.input
    return (one.pfs for one in given.cross or [given])


def branch_name(project: str, pipeline: str, repo_project: str) -> str:
    """The claim branch of a pipeline in a repo that it reads; no two pipelines share one."""
    name = pipeline if repo_project == project else f"{project}_{pipeline}"
    return CLAIM_PREFIX + name


def claim_branch(one: ClaimedInput) -> pfs.Branch:
    """Pachyderm's message for an input's claim branch."""
    return pfs.Branch(repo=repo_message(one.commit.project, one.commit.repo), name=one.branch)


def spec(plan: PipelinePlan) -> dict[str, Any]:
    """The pipeline spec in Pachyderm's JSON."""
    settings = {
        "KFP_PACHYDERM_ATTACH_TIMEOUT": f"{plan.attach_timeout:g}",
        "KFP_PACHYDERM_LEASE": f"{plan.lease:g}",
    }
    own_transform = plan.fields.get("transform", {})
    own_annotations = plan.fields.get("metadata", {}).get("annotations", {})
    sibling = {SIBLING_KEY: plan.sibling_of} if plan.sibling_of else {}
    return {
        **plan.fields,
        "pipeline": {"project": {"name": plan.project}, "name": plan.name},
        "transform": {
            **own_transform,
            "image": plan.image,
            "cmd": ["python3", "-c", _holder_source()],
            "env": {**own_transform.get("env", {}), **settings},
        },
        "input": _input(plan.inputs),
        "s3_out": plan.s3_out,
        "parallelism_spec": {"constant": 1},
        "autoscaling": False,
        "datum_tries": 1,
        **_sidecar_requests(plan),
        "metadata": {
            **plan.fields.get("metadata", {}),
            "annotations": {**own_annotations, OWNER_KEY: OWNER, **users(plan), **sibling},
        },
    }


def _sidecar_requests(plan: PipelinePlan) -> dict[str, Any]:
    """The rest (CPU, disk) comes from the cluster's defaults, into which Pachyderm merges this."""
    requests = plan.fields.get("sidecar_resource_requests", {})
    if plan.sidecar_memory:
        return {"sidecar_resource_requests": {**requests, "memory": plan.sidecar_memory}}
    # Kubernetes refuses a request above the limit
    if "memory" in requests or "memory" in plan.fields.get("sidecar_resource_limits", {}):
        return {}
    return {"sidecar_resource_requests": {**requests, "memory": SIDECAR_MEMORY}}


def users(plan: PipelinePlan) -> dict[str, str]:
    """The annotations that say who uses the pipeline, as far as it is known."""
    every = {KFP_PIPELINE_KEY: plan.kfp_pipeline, COMPONENT_KEY: plan.component}
    return {key: value for key, value in every.items() if value}


def _input(inputs: tuple[ClaimedInput, ...]) -> dict[str, Any]:
    every = [
        {
            "pfs": {
                "project": one.commit.project,
                "repo": one.commit.repo,
                "branch": one.branch,
                "name": one.name,
                "glob": one.glob,
                "s3": one.s3,
            }
        }
        for one in inputs
    ]
    return every[0] if len(every) == 1 else {"cross": every}


@cache
def _holder_source() -> str:
    return (Path(__file__).parent.parent / "holder.py").read_text()


def message(project: str, name: str) -> pps.Pipeline:
    """Pachyderm's message for a pipeline."""
    return pps.Pipeline(project=pfs.Project(name=project), name=name)


def check_rights(pachd: Pachd, plan: PipelinePlan) -> None:
    """Refuses to claim a job of a pipeline that could then be neither looked at nor stopped.

    Whoever makes a pipeline owns its output; whoever comes later needs a role on it. With auth off Pachyderm
    says nothing of permissions, and nothing is refused (src/server/pfs/server/server_repo.go, inspectRepo).

    Raises:
        AuthenticationError: a permission is missing.
    """
    if not pachd.address.token:
        return
    info = pachd.pfs.inspect_repo(repo=repo_message(plan.project, plan.name))
    given = {auth.Permission(one).name for one in info.auth_info.permissions}
    missing = [one for one in _RIGHTS if one not in given]
    if betterproto.serialized_on_wire(info.auth_info) and missing:
        raise AuthenticationError(
            f"{pachd.address.url}: not authorized to use pipeline {plan}: the token needs permissions "
            f"[{' '.join(missing)}] on REPO {plan}; bind the role repoWriter there to its owner: "
            f"pachctl auth set repo {plan.name} --project {plan.project} repoWriter <principal>"
        )


def is_current(info: pps.PipelineInfo, wanted: dict[str, Any]) -> bool:
    """Whether the pipeline was made from exactly this spec, for whichever of a component's steps.

    KFP calls a component's second task `edges-2`: so may be called the second pipeline of its first task.
    """
    return bool(info.user_spec_json) and _unmarked(json.loads(info.user_spec_json)) == _unmarked(wanted)


def _unmarked(made_from: dict[str, Any]) -> dict[str, Any]:
    found = made_from.get("metadata", {})
    annotations = {key: value for key, value in found.get("annotations", {}).items() if key != SIBLING_KEY}
    return {**made_from, "metadata": {**found, "annotations": annotations}}
