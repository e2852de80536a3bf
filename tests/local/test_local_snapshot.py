"""Runs with and without the snapshot task."""

import functools

import pytest
from kfp import dsl
from pachyderm_sdk.api import pps

import kfp_pachyderm as pach
from kfp_pachyderm.testing import Pachyderm

component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@pach.s3_enabled(inputs=[pach.S3Input("images")])
@component()
def copy() -> int:
    import boto3

    boto3.client("s3").put_object(Bucket="out", Key="copied", Body=b"A")
    return 1


@pach.s3_enabled(inputs=[pach.S3Input("copy"), pach.S3Input("images")])
@component()
def join() -> str:
    import boto3

    s3 = boto3.client("s3")
    return ",".join(one["Key"] for one in s3.list_objects_v2(Bucket="copy")["Contents"])


def test_pipelines_are_made_ahead_as_the_steps_want_them(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str]
) -> None:
    pachyderm.put("images", {"a.txt": "A"})

    @dsl.pipeline(name="wired")
    @pach.pipeline
    def wired() -> str:
        return join(copy=copy().outputs["commit"]).output

    assert wired().output == "copied"
    said = capfd.readouterr().out
    assert "pipeline default/copy is made ahead" in said
    assert "pipeline default/join is made ahead" in said
    made = pachyderm.client.pps.list_pipeline(details=False)
    assert {one.pipeline.name: one.version for one in made} == {"copy": 1, "join": 1}
    worked = [one for one in pachyderm.client.pps.list_job(details=False) if one.data_total]
    assert len(worked) == 2
    assert {one.state for one in worked} == {pps.JobState.JOB_SUCCESS}


def test_without_a_snapshot_a_step_reads_a_branch_as_it_is_when_it_starts(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str]
) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    with pytest.warns(UserWarning, match="as it is when it starts"):

        @dsl.pipeline(name="unwired")
        @pach.pipeline(snapshot=False)
        def unwired() -> str:
            first = copy()
            return join().after(first).output

    assert unwired().output == "copied"
    said = capfd.readouterr().out
    assert "pachyderm-snapshot" not in said
    assert "made ahead" not in said
