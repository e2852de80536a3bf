"""`s3_pipeline/run`: the job of a pipeline that is somebody else's, on given commits."""

import contextlib
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from kfp import dsl
from pachyderm_sdk.api import pfs, pps
from reusable import (  # type: ignore[import-not-found]
    create_pipeline,
    files,
    inspect,
    jobs,
    make_table,
    put,
    run,
    start,
)

from kfp_pachyderm.pachd.jobs.job import is_over
from kfp_pachyderm.pachd.pipeline_plan import OWNER, OWNER_KEY
from kfp_pachyderm.testing import Pachyderm
from tests.waiting import PATIENCE, wait_for


def heads(pachyderm: Pachyderm) -> dict[str, str]:
    """Returns branch → head, for all repos of users."""
    found = [info.repo for info in pachyderm.client.pfs.list_repo(type="user")]
    branches = [one for repo in found for one in pachyderm.client.pfs.list_branch(repo=repo)]
    return {f"{one.branch.repo.name}@{one.branch.name}": one.head.id for one in branches}


def test_the_job_of_a_commit_is_waited_for_and_recorded(pachyderm: Pachyderm) -> None:
    pachyderm.put("vision/images", {"/old": "old"})
    pipeline = create_pipeline(pachyderm)

    @dsl.pipeline(name="existing")
    def existing() -> str:
        made = put(artifact=make_table(text="abc").output, branch="vision/images@master", path="/a.txt")
        return run(pipeline="vision/edges", inputs={"images": made.outputs["commit"]}).outputs["commit"]

    commit = existing().output
    newest, first = jobs(pachyderm, pipeline)
    assert commit == f"vision/edges@{newest.job.id}"
    assert newest.state == pps.JobState.JOB_SUCCESS
    assert files(pachyderm, commit) == {"/a.txt": b"cba", "/old": b"dlo"}
    assert inspect(pachyderm, commit).metadata["kfp-pachyderm/component"] == "s3_pipeline/run"

    # One commit set: the put, and the job that Pachyderm made for it.
    images = f"vision/images@{newest.job.id}"
    before = heads(pachyderm)
    again = run(pipeline="vision/edges")
    record = again.outputs["pachyderm"].metadata
    assert again.outputs["commit"] == commit
    assert (record["job"], record["state"], record["input_images"]) == (newest.job.id, "SUCCESS", images)
    assert (record["pipeline_version"], "sidecar" in record) == (1, False)

    older = inspect(pachyderm, f"vision/edges@{first.job.id}").direct_provenance
    (old,) = [one.id for one in older if one.repo.type == "user"]
    found = run(pipeline="vision/edges", inputs={"images": f"vision/images@{old}"})
    assert found.outputs["commit"] == f"vision/edges@{first.job.id}"
    assert heads(pachyderm) == before
    assert len(jobs(pachyderm, pipeline)) == 2


#: Fails the first time that it runs.
ONCE = """
import os, pathlib, sys
import boto3
mark = pathlib.Path({mark!r})
if not mark.exists():
    mark.touch()
    sys.exit(3)
boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name="us-east-1").put_object(
    Bucket="out", Key="done", Body=b"1")
"""


def test_a_failed_job_is_run_again_and_nobody_else_is(pachyderm: Pachyderm, tmp_path: Path) -> None:
    commit = pachyderm.put("vision/images", {"/a": "a"})
    pipeline = create_pipeline(pachyderm, ONCE.format(mark=str(tmp_path / "mark")), datum_tries=1)
    create_pipeline(pachyderm, pipeline={"name": "other", "project": {"name": "vision"}})
    (failed,) = jobs(pachyderm, pipeline)
    failed = pachyderm.client.pps.inspect_job(job=failed.job, wait=True)
    assert failed.state == pps.JobState.JOB_FAILURE
    before = heads(pachyderm)

    made = run(pipeline="vision/edges", inputs={"images": commit}).outputs["commit"]

    assert files(pachyderm, made) == {"/done": b"1"}
    assert [f"vision/edges@{one.job.id}" for one in jobs(pachyderm, pipeline)] == [
        made,
        f"vision/edges@{failed.job.id}",
    ]
    after = heads(pachyderm)
    assert {name for name in after if after[name] != before[name]} == {"edges@master"}
    info = pachyderm.client.pps.inspect_pipeline(pipeline=pipeline, details=True)
    assert (info.version, info.details.input.pfs.branch) == (1, "master")
    assert not info.details.metadata.annotations


def test_it_says_why_a_job_failed_and_what_can_not_be(pachyderm: Pachyderm, tmp_path: Path) -> None:
    first = pachyderm.put("vision/images", {"/a": "a"})
    pachyderm.put("vision/images", {"/b": "b"})
    create_pipeline(pachyderm, "raise SystemExit(3)", datum_tries=1)
    create_pipeline(pachyderm, pipeline={"name": "idle", "project": {"name": "vision"}})
    ours = {"pipeline": {"name": "ours", "project": {"name": "vision"}}, "datum_tries": 1}
    create_pipeline(pachyderm, "raise SystemExit(3)", metadata={"annotations": {OWNER_KEY: OWNER}}, **ours)
    of_step = pps.Pipeline(name="ours", project=pfs.Project(name="vision"))
    wait_for(lambda: all(map(is_over, jobs(pachyderm, of_step))), "the end of the first job")
    stopped = pps.Pipeline(name="idle", project=pfs.Project(name="vision"))
    pachyderm.client.pps.stop_pipeline(pipeline=stopped)
    edges, idle = {"pipeline": "vision/edges"}, {"pipeline": "vision/idle"}
    cases = [
        (
            edges,
            "JobFailedError: job vision/edges@[0-9a-f]{32} ended as FAILURE: datum .*pachctl logs",
        ),
        ({**edges, "inputs": {"images": first}}, "reads vision/images@master, which is at"),
        ({**edges, "inputs": {"nope": first}}, "has no input 'nope'; its inputs: images"),
        ({**edges, "inputs": {"images": "other@master"}}, "the pipeline reads vision/images"),
        ({"pipeline": "vision/none"}, "project vision has no pipeline 'none'"),
        (idle, "is stopped"),
        ({"pipeline": "vision/ours"}, "made it for a step, without which its jobs do nothing"),
    ]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(start(pachyderm, "s3_pipeline/run", tmp_path, **inputs))
            for inputs, _ in cases
        ]
        for process, (_, text) in zip(processes, cases, strict=True):
            _, told = process.communicate(timeout=PATIENCE)
            assert process.returncode == 1, told
            assert re.search(text, told), told


#: Fails the first time that it runs, and then runs for ever.
FOREVER = """
import pathlib, sys, time
mark = pathlib.Path({mark!r})
if not mark.exists():
    mark.touch()
    sys.exit(1)
time.sleep(600)
"""


def test_sigterm_stops_the_job_that_the_step_made(pachyderm: Pachyderm, tmp_path: Path) -> None:
    pachyderm.put("vision/images", {"/a": "a"})
    pipeline = create_pipeline(pachyderm, FOREVER.format(mark=str(tmp_path / "mark")), datum_tries=1)
    (first,) = jobs(pachyderm, pipeline)
    pachyderm.client.pps.inspect_job(job=first.job, wait=True)

    with started(pachyderm, tmp_path) as maker:
        newest = jobs(pachyderm, pipeline)[0]
        with started(pachyderm, tmp_path) as joined:
            joined.terminate()
            joined.communicate(timeout=PATIENCE)
        current = pachyderm.client.pps.inspect_job(job=newest.job)
        assert current.state != pps.JobState.JOB_KILLED, "it was not the second step's job to stop"
        maker.terminate()
        maker.communicate(timeout=PATIENCE)
    assert maker.returncode == joined.returncode == 128 + signal.SIGTERM
    ended = pachyderm.client.pps.inspect_job(job=newest.job, wait=True)
    assert (ended.state, ended.reason) == (pps.JobState.JOB_KILLED, "the step ended: SIGTERM")
    assert not (tmp_path / "commit").exists()


@contextlib.contextmanager
def started(pachyderm: Pachyderm, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The component, from the moment when it has its job."""
    with start(pachyderm, "s3_pipeline/run", folder, pipeline="vision/edges") as process:
        assert any("job=" in line for line in iter(process.stdout.readline, ""))
        yield process
