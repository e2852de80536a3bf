"""Plans a step's Pachyderm pipeline; the run's snapshot makes the same plan ahead."""

from __future__ import annotations

from kfp_pachyderm.launcher.claim.holder_image import holder_image
from kfp_pachyderm.launcher.config import InputConfig, StepConfig
from kfp_pachyderm.pachd.pipeline_plan import ClaimedInput, PipelinePlan, branch_name
from kfp_pachyderm.pachd.references import Reference


def make_plan(
    config: StepConfig,
    name: str,
    kfp_pipeline: str,
    found: list[tuple[InputConfig, Reference]],
    sibling_of: str = "",
) -> PipelinePlan:
    """Plans a step's pipeline.

    Args:
        config: the step's config.
        name: the Pachyderm pipeline.
        kfp_pipeline: the KFP pipeline; "" when that is not known.
        found: the step's inputs, and what each reads; the spec knows project and repo of it only.
        sibling_of: as in PipelinePlan.
    """
    return PipelinePlan(
        project=config.project,
        name=name,
        inputs=_claims(config.project, name, found),
        s3_out=config.s3_out,
        image=holder_image(config.holder.image),
        attach_timeout=config.holder.attach_timeout,
        lease=config.holder.lease,
        sidecar_memory=config.holder.sidecar_memory,
        fields=config.pipeline_spec,
        kfp_pipeline=kfp_pipeline,
        component=config.component,
        sibling_of=sibling_of,
    )


def _claims(project: str, name: str, found: list[tuple[InputConfig, Reference]]) -> tuple[ClaimedInput, ...]:
    return tuple(
        ClaimedInput(one.name, commit, branch_name(project, name, commit.project), one.s3, one.glob)
        for one, commit in found
    )
