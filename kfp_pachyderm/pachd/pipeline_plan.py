"""The Pachyderm pipeline of a step: its name, its spec, the permissions that the step needs on it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kfp_pachyderm.errors import (
    AuthenticationError,
    SpecError,
)
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.references import Reference, repo_message
from kfp_pachyderm.pachd.sdk import auth, pfs, pps, serialized_on_wire

OWNER_KEY, OWNER = "kfp-pachyderm/owner", "kfp-pachyderm"
#: The annotations that name the pipeline's user: the KFP pipeline and the component.
KFP_PIPELINE_KEY, COMPONENT_KEY = "kfp-pachyderm/pipeline", "kfp-pachyderm/component"
#: The annotation of a step's further pipelines, which run its jobs in parallel: the name of its first
#: pipeline.
SIBLING_KEY = "kfp-pachyderm/sibling-of"
#: The sidecar's memory request. It keeps up to 500 MB of what a step writes in memory
#: (src/internal/storage/fileset/unordered_writer.go), and its Go runtime takes the request as its memory
#: limit.
SIDECAR_MEMORY = "1Gi"
#: The permissions that a step needs on the output repo of an existing pipeline: to see its jobs, and to end
#: them.
_RIGHTS = ("PIPELINE_LIST_JOB", "REPO_WRITE")
#: The beginning of the names of claim branches.
CLAIM_PREFIX = "kfp_"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True)
class ClaimedInput:
    """One input of the pipeline, pinned to a commit.

    Args:
        name: the name of the bucket, or of the folder below /pfs.
        commit: the resolved commit.
        branch: the claim branch in the commit's repo. Only steps move it.
        s3: True for a bucket, False for a folder.
        glob: Pachyderm's glob.
    """

    name: str
    commit: Reference
    branch: str
    s3: bool = True
    glob: str = "/"


@dataclass(frozen=True)
class PipelinePlan:
    """The pipeline that a step wants.

    Args:
        project: Pachyderm project.
        name: the pipeline's name.
        inputs: the pipeline's inputs.
        s3_out: whether the job has the bucket `out`.
        image: the holder's container image.
        attach_timeout: seconds that the holder waits for the launcher.
        lease: seconds that the holder waits for a heartbeat.
        fields: further fields of the pipeline spec, in Pachyderm's JSON with names in snake_case.
        kfp_pipeline: the KFP pipeline that the step belongs to; "" if that is not known.
        component: the KFP component that the step is made from.
        sidecar_memory: memory request of the sidecar; None: that of `fields`, else the default.
        sibling_of: the name of the step's first pipeline; "" if this is the first one.
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
    """Returns the name, if Pachyderm and Kubernetes accept it for a pipeline of the project.

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
    """Returns the most characters of a pipeline's name in a project (validatePipelineRequest, as above)."""
    return min(51, 58 - len(project))


def is_of_step(info: pps.PipelineInfo) -> bool:
    """Tells whether a pipeline, with its details, has the mark of a step's."""
    return bool(info.details.metadata.annotations.get(OWNER_KEY) == OWNER)


def pfs_inputs(info: pps.PipelineInfo) -> Iterator[pps.PfsInput]:
    """Yields the inputs of a step's pipeline: the members of its cross, or its only input."""
    given = info.details.input
    return (one.pfs for one in given.cross or [given])


def output_branch(info: pps.PipelineInfo) -> pfs.Branch:
    """Returns the output branch of a pipeline that was inspected with its details."""
    repo = repo_message(info.pipeline.project.name, info.pipeline.name)
    return pfs.Branch(repo=repo, name=info.details.output_branch or "master")


def branch_name(project: str, pipeline: str, repo_project: str) -> str:
    """Returns the name of a pipeline's claim branch in a repo that it reads. No two pipelines share a name.

    Args:
        project: the pipeline's project.
        pipeline: the pipeline's name.
        repo_project: the project of the repo.
    """
    name = pipeline if repo_project == project else f"{project}_{pipeline}"
    return CLAIM_PREFIX + name


def claim_branch(one: ClaimedInput) -> pfs.Branch:
    """Returns Pachyderm's message for an input's claim branch."""
    return pfs.Branch(repo=repo_message(one.commit.project, one.commit.repo), name=one.branch)


def spec(plan: PipelinePlan) -> dict[str, Any]:
    """Returns the pipeline spec in Pachyderm's JSON."""
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
            # Neither site-packages, which take a third of the interpreter's start, nor what the image has on
            # PYTHONPATH or in the working directory: a file there may have the name of a standard module.
            "cmd": ["python3", "-I", "-S", "-c", _holder_source()],
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
    """Returns the sidecar's resource requests. Pachyderm merges them into the cluster's defaults."""
    requests = plan.fields.get("sidecar_resource_requests", {})
    if plan.sidecar_memory:
        return {"sidecar_resource_requests": {**requests, "memory": plan.sidecar_memory}}
    # a default could be above the author's memory limit, which Kubernetes refuses
    if "memory" in requests or "memory" in plan.fields.get("sidecar_resource_limits", {}):
        return {}
    return {"sidecar_resource_requests": {**requests, "memory": SIDECAR_MEMORY}}


def users(plan: PipelinePlan) -> dict[str, str]:
    """Returns the annotations that name the pipeline's user, as far as it is known."""
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
    """Returns Pachyderm's message for a pipeline."""
    return pps.Pipeline(project=pfs.Project(name=project), name=name)


def check_rights(pachd: Pachd, plan: PipelinePlan) -> None:
    """Checks that the token has the permissions to inspect and to stop jobs of an existing pipeline.

    The user who makes a pipeline owns its output repo; other users need a role on it. With auth off Pachyderm
    reports no permissions, and the check passes (src/server/pfs/server/server_repo.go, inspectRepo).

    Raises:
        AuthenticationError: a permission is missing.
    """
    if not pachd.address.token:
        return
    info = pachd.pfs.inspect_repo(repo=repo_message(plan.project, plan.name))
    # a newer pachd has permissions that the SDK has no name for
    missing = [one for one in _RIGHTS if auth.Permission[one] not in info.auth_info.permissions]
    if serialized_on_wire(info.auth_info) and missing:
        raise AuthenticationError(
            f"{pachd.address.url}: not authorized to use pipeline {plan}: the token needs permissions "
            f"[{' '.join(missing)}] on REPO {plan}; bind the role repoWriter there to its owner: "
            f"pachctl auth set repo {plan.name} --project {plan.project} repoWriter <principal>"
        )


def is_current(info: pps.PipelineInfo, wanted: dict[str, Any]) -> bool:
    """Tells whether the pipeline was made from exactly this spec. The annotation SIBLING_KEY does not count.

    Two names may collide: KFP calls a component's second task `edges-2`, and the second pipeline of its first
    task may be called `edges-2`, too. The two have the same spec otherwise, and may share the pipeline.
    """
    return bool(info.user_spec_json) and _unmarked(json.loads(info.user_spec_json)) == _unmarked(wanted)


def _unmarked(made_from: dict[str, Any]) -> dict[str, Any]:
    found = made_from.get("metadata", {})
    annotations = {key: value for key, value in found.get("annotations", {}).items() if key != SIBLING_KEY}
    return {**made_from, "metadata": {**found, "annotations": annotations}}
