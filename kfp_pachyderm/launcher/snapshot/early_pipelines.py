"""Makes the pipelines of a run's steps before KFP schedules the first step."""

from __future__ import annotations

import time

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.launcher.claim.pipeline_plan import make_plan
from kfp_pachyderm.launcher.config import AheadConfig, SnapshotConfig
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.claims.early_pipelines import make_ahead
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.pipeline_plan import PipelinePlan, check_name
from kfp_pachyderm.pachd.references import parse

#: Seconds for all pipelines together. A step makes its own where it is missing: no run waits longer.
_TIME = 20.0


def make_pipelines(pachd: Pachd, config: SnapshotConfig, kfp_pipeline: str, found: dict[str, str]) -> None:
    """Makes the pipelines as far as it can; says what it could not, and never fails.

    Args:
        pachd: the connection.
        config: the snapshot's config.
        kfp_pipeline: the KFP pipeline.
        found: the snapshot's outputs.
    """
    deadline = time.monotonic() + _TIME
    for one in config.ahead:
        if time.monotonic() >= deadline:
            say("no time is left to make pipelines ahead; each step makes its own")
            return
        try:
            plan = _plan(one, kfp_pipeline, found)
            # What a repo's second input reads is gathered by the step (`pachd.claims.gathering`).
            repos = [(read.commit.project, read.commit.repo) for read in plan.inputs]
            if len(set(repos)) == len(repos) and make_ahead(pachd, plan, deadline):
                say(f"pipeline {plan} is made ahead, its worker starts")
        except PachydermError as error:
            say(f"the pipeline of step {one.task} could not be made ahead, the step makes it: {error}")


def _plan(one: AheadConfig, kfp_pipeline: str, found: dict[str, str]) -> PipelinePlan:
    name = one.step.pipeline(one.task)
    check_name(one.step.project, name)
    read = [
        (given, parse(found.get(one.inputs[given.name], one.inputs[given.name]), one.step.project))
        for given in one.step.inputs
    ]
    return make_plan(one.step, name, kfp_pipeline, read)
