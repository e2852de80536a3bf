"""Steps with concurrency where KFP runs them many times: a loop in a loop, a condition, a nested pipeline."""

import functools

import pytest
from kfp import dsl
from pachyderm_sdk.api import pfs, pps

import kfp_pachyderm as pach
from kfp_pachyderm.testing import Pachyderm

pytest.importorskip("kfp.local.orchestrator", reason="kfp.local 2.14 runs no loops")
component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@pach.s3_enabled(inputs=[pach.S3Input("images")], concurrency=2)
@component()
def look(label: str) -> str:
    return label


@dsl.pipeline(name="loop-in-loop")
@pach.pipeline
def loop_in_loop():
    with dsl.ParallelFor(["a", "b"]) as outer:
        with dsl.ParallelFor(["1", "2"]):
            look(label=outer)


@dsl.pipeline(name="condition-in-loop")
@pach.pipeline
def condition_in_loop():
    with dsl.ParallelFor(["a", "b", "a"]) as label:
        with dsl.If(label == "a"):
            look(label=label)


@dsl.pipeline(name="inner")
@pach.pipeline
def inner(label: str):
    look(label=label)


@dsl.pipeline(name="pipeline-in-loop")
@pach.pipeline
def pipeline_in_loop():
    look(label="first")
    with dsl.ParallelFor(["a", "b", "c"]) as label:
        inner(label=label)


def worked(pachyderm: Pachyderm) -> list[pps.JobInfo]:
    return [one for one in pachyderm.client.pps.list_job(history=-1) if one.data_total]


def check(pachyderm: Pachyderm, number: int, commit: str, *names: str) -> None:
    """Checks the number of jobs of one commit, and that no other pipelines have any."""
    every = worked(pachyderm)
    assert {one.state for one in every} == {pps.JobState.JOB_SUCCESS}
    assert len(every) == number
    assert {one.pipeline.name for one in pachyderm.client.pps.list_pipeline()} <= set(names)
    for one in every:
        repo = pfs.Repo(name=one.job.pipeline.name, type="user", project=one.job.pipeline.project)
        output = pachyderm.client.pfs.inspect_commit(commit=pfs.Commit(repo=repo, id=one.job.id))
        (read,) = [of.id for of in output.direct_provenance if of.repo.type == "user"]
        assert read == commit


def test_a_loop_in_a_loop(pachyderm: Pachyderm) -> None:
    commit = pachyderm.put("images", {"a.txt": "A"})
    loop_in_loop()
    check(pachyderm, 4, commit.rpartition("@")[2], "look", "look-2")


def test_a_condition_in_a_loop(pachyderm: Pachyderm) -> None:
    commit = pachyderm.put("images", {"a.txt": "A"})
    condition_in_loop()
    check(pachyderm, 2, commit.rpartition("@")[2], "look", "look-2")


def test_a_nested_pipeline_in_a_loop(pachyderm: Pachyderm) -> None:
    commit = pachyderm.put("images", {"a.txt": "A"})
    pipeline_in_loop()
    # KFP calls the task in it `look-2`.
    check(pachyderm, 4, commit.rpartition("@")[2], "look", "look-2", "look-2-2")
