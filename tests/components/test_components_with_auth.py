"""The reusable components with auth on, by a robot with the roles that docs/connection.md names."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from kfp import dsl
from pachyderm_sdk.api import pfs, pps
from reusable import (  # type: ignore[import-not-found]
    create_pipeline,
    get,
    jobs,
    make_table,
    put,
    read_table,
    resolve,
    run,
)
from test_s3_pipeline import ONCE, heads  # type: ignore[import-not-found]

from tests.embedded.embedded_auth import refused
from tests.with_auth import GuardedPachyderm, guarded_pachyderm


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedPachyderm]:
    with guarded_pachyderm(tmp_path_factory.mktemp("guarded")) as running:
        yield running


@dsl.pipeline(name="all-of-them")
def all_of_them(branch: str) -> str:
    made = put(artifact=make_table(text="abc").output, branch=branch, path="/a.txt")
    pinned = resolve(reference=branch).after(made)
    pinned.set_caching_options(False)
    ran = run(pipeline="vision/edges", inputs={"images": pinned.outputs["commit"]})
    back = get(commit=ran.outputs["commit"], path="/a.txt")
    return read_table(table=back.outputs["artifact"]).output


def test_all_components_in_one_pipeline(guarded: GuardedPachyderm) -> None:
    guarded.put_for("repoWriter", "vision/images", {"/old": "old"})
    pipeline = create_pipeline(guarded)
    guarded.office.bind(guarded.robot, "vision/edges", "repoReader")

    assert all_of_them(branch="vision/images@master").output == "cba"

    newest, first = jobs(guarded, pipeline)
    older = guarded.client.pfs.inspect_commit(commit=first.output_commit).direct_provenance
    (old,) = [one.id for one in older if one.repo.type == "user"]
    found = run(pipeline="vision/edges", inputs={"images": f"vision/images@{old}"})
    assert found.outputs["commit"] == f"vision/edges@{first.job.id}"
    assert [one.job for one in jobs(guarded, pipeline)] == [newest.job, first.job], "none was made by us"


def test_a_failed_job_is_run_again(guarded: GuardedPachyderm, tmp_path: Path) -> None:
    commit = guarded.put_for("repoReader", "again/images", {"/a": "a"})
    code = ONCE.format(mark=str(tmp_path / "mark"))
    where = {"name": "once", "project": {"name": "again"}}
    create_pipeline(guarded, code, datum_tries=1, pipeline=where)
    pipeline = pps.Pipeline(name="once", project=pfs.Project(name="again"))
    (failed,) = jobs(guarded, pipeline)
    assert guarded.client.pps.inspect_job(job=failed.job, wait=True).state == pps.JobState.JOB_FAILURE
    guarded.office.bind(guarded.robot, "again/once", "repoWriter")
    before = heads(guarded)

    made = run(pipeline="again/once", inputs={"images": commit}).outputs["commit"]

    assert next(f"again/once@{one.job.id}" for one in jobs(guarded, pipeline)) == made
    after = heads(guarded)
    assert {name for name in after if after[name] != before[name]} == {"once@master"}


def test_pachyderm_loses_the_token_where_it_is_asked_for_jobs_on_a_commit(guarded: GuardedPachyderm) -> None:
    commit = pfs.Commit.from_uri(guarded.put("lost/images", {"/a": "a"}))
    create_pipeline(guarded, pipeline={"name": "edges", "project": {"name": "lost"}})
    pipeline = pps.Pipeline(name="edges", project=pfs.Project(name="lost"))
    assert len(jobs(guarded, pipeline)) == 1
    refused(
        lambda: guarded.client.pps.list_job(pipeline=pipeline, input_commit=[commit]),
        "apply function to list row element: rpc error: code = Unauthenticated desc = "
        "no authentication token (try logging in)",
        grpc.StatusCode.UNAUTHENTICATED.name,
    )
