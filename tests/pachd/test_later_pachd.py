"""Numbers of a later pachd: states, permissions and kinds that this release has no names for."""

from __future__ import annotations

import pytest

from kfp_pachyderm.errors import PermanentError
from kfp_pachyderm.pachd.claims import existing_pipeline
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.jobs import job_facts
from kfp_pachyderm.pachd.jobs.crashes import can_not_run
from kfp_pachyderm.pachd.sdk import pps

LATER = 99
Kind = pps.PipelineInfoPipelineType


def test_a_state_without_a_name_is_told_by_its_number_and_no_end() -> None:
    info = pps.JobInfo().parse(bytes(pps.JobInfo(state=LATER)))
    assert jobs.state_name(info) == job_facts.decode(bytes(info)).state == "STATE_99"
    assert not jobs.is_over(info)


@pytest.mark.parametrize("state", list(pps.JobState))
def test_states_have_their_names(state: pps.JobState) -> None:
    info = pps.JobInfo(state=state)
    assert f"JOB_{jobs.state_name(info)}" == f"JOB_{job_facts.decode(bytes(info)).state}" == state.name


def test_a_pipeline_in_such_a_state_may_run() -> None:
    assert not can_not_run(pps.PipelineInfo(state=LATER))


@pytest.mark.parametrize("kind", [Kind.PIPELINE_TYPE_TRANSFORM, LATER])
def test_a_pipeline_of_such_a_kind_may_have_jobs(kind: Kind) -> None:
    existing_pipeline._refuse_idle("edges", pps.PipelineInfo(type=kind))


@pytest.mark.parametrize("kind", [Kind.PIPELINE_TYPE_SPOUT, Kind.PIPELINE_TYPE_SERVICE])
def test_spouts_and_services_have_no_jobs_that_end(kind: Kind) -> None:
    with pytest.raises(PermanentError, match="a spout or a service"):
        existing_pipeline._refuse_idle("edges", pps.PipelineInfo(type=kind))
