"""Steps that go well, and steps that fail in the user's own code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from launcher_steps import Runner, files, put  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.bootstrap import BOOTSTRAP
from kfp_pachyderm.launcher.config import InputConfig, StepConfig, dumps
from kfp_pachyderm.pachd.commits.direct_inputs import direct_inputs
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.job import inspect_output
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pfs, pps
from kfp_pachyderm.provenance import verify
from kfp_pachyderm.provenance.graph.walk import walk
from tests.waiting import PATIENCE

COPY = """
import boto3
s3 = boto3.client("s3")
for found in s3.list_objects_v2(Bucket="images")["Contents"]:
    body = s3.get_object(Bucket="images", Key=found["Key"])["Body"].read()
    s3.put_object(Bucket="out", Key="copy/" + found["Key"], Body=body + b"!")
print("user code was here")
"""

State = pps.JobState


@pytest.mark.parametrize(
    ("gateway", "verify"), [("adapter", "content"), ("adapter", "size"), ("direct", "content")]
)
def test_success(step: Runner, gateway: str, verify: str) -> None:
    commit = step.fill(a=b"A", b=b"BB")
    ended = step.run(
        COPY, step.config(gateway=gateway, verify=verify, digest="sha256:1", image="python:3.11")
    )
    assert ended.code == 0
    assert "user code was here" in ended.out
    assert files(step.pachd, "default", step.name, ended.job) == {"/copy/a": 2, "/copy/b": 3}

    info = step.job(ended)
    assert info.state == State.JOB_SUCCESS
    assert info.output_commit.id == info.job.id == ended.job
    assert len(step.jobs()) == 1

    assert (ended.folder / "commit").read_text() == f"default/{step.name}@{ended.job}"
    assert ended.job in (ended.folder / "pachyderm").read_text()
    (artifact,) = ended.output()["artifacts"]["pachyderm"]["artifacts"]
    assert artifact["uri"] == str(ended.folder / "pachyderm")
    assert artifact["metadata"]["job"] == ended.job
    assert artifact["metadata"]["state"] == "SUCCESS"
    assert artifact["metadata"]["input_images"] == f"default/in-{step.name}@{commit}"
    assert artifact["metadata"]["size_bytes"] == 5
    assert artifact["metadata"]["kfp_task"] == step.name

    output = inspect_output(step.pachd, Reference("default", step.name, ended.job))
    assert output.metadata["kfp-pachyderm/task"] == step.name
    assert output.metadata["kfp-pachyderm/run"] == ended.folder.parent.name
    assert output.metadata["kfp-pachyderm/component-digest"] == "sha256:1"
    assert output.metadata["kfp-pachyderm/image"] == "python:3.11"
    assert direct_inputs(output) == (Reference("default", f"in-{step.name}", commit),)


def test_pipeline_is_kept_and_every_run_is_one_job(step: Runner) -> None:
    first = step.fill()
    one = step.run(COPY)
    two = step.run(COPY)
    step.fill(a=b"new")
    three = step.run(COPY, images=f"in-{step.name}@{first}")
    jobs = step.jobs()
    assert [info.job.id for info in jobs] == [three.job, two.job, one.job]
    assert {info.pipeline_version for info in jobs} == {1}
    assert three.output()["artifacts"]["pachyderm"]["artifacts"][0]["metadata"]["input_images"].endswith(
        first
    )


def test_changed_spec_makes_one_job_of_a_new_version(step: Runner) -> None:
    step.fill()
    step.run(COPY)
    two = step.run(COPY, step.config(pipeline_spec={"description": "changed"}))
    assert step.job(two).pipeline_version == 2
    assert len(step.jobs()) == 2


def test_what_the_component_wrote_itself_is_kept(step: Runner) -> None:
    step.fill()
    written = {"parameterValues": {"Output": 3}, "artifacts": {"model": {"artifacts": [{"uri": "/x"}]}}}
    file = step.folder / "executor_output.json"
    ended = step.run(f"open({str(file)!r}, 'w').write({json.dumps(written)!r})")
    assert ended.output()["parameterValues"] == {"Output": 3}
    assert set(ended.output()["artifacts"]) == {"model", "pachyderm"}


def test_several_inputs_of_several_projects_and_lineage(step: Runner) -> None:
    step.pachd.pfs.create_project(project=pfs.Project(name=f"far-{step.name}"))
    one = step.fill()
    two = put(step.pachd, "far", {"b": b"B"}, project=f"far-{step.name}")
    inputs = (
        InputConfig("images", f"in-{step.name}"),
        InputConfig("again", f"in-{step.name}"),
        InputConfig("far", "far", project=f"far-{step.name}"),
    )
    code = """
import boto3
s3 = boto3.client("s3")
for b in ("images", "again", "far"): print(b, s3.list_objects_v2(Bucket=b)["KeyCount"])
"""
    ended = step.run(code, step.config(inputs=inputs))
    assert ended.code == 0
    assert "images 1\nagain 1\nfar 1" in ended.out
    assert len(step.jobs()) == 1
    output = Reference("default", step.name, ended.job)
    found = {(each.project, each.repo): each for each in walk(step.pachd, [output])}
    assert found == {
        ("default", step.name): output,
        ("default", f"in-{step.name}"): Reference("default", f"in-{step.name}", one),
        (f"far-{step.name}", "far"): Reference(f"far-{step.name}", "far", two),
        # a repo that is read twice is gathered for the second time
        ("default", f"{step.name}_again"): found["default", f"{step.name}_again"],
    }
    assert verify(str(output), client=step.pachd).ok


def test_child_that_fails(step: Runner) -> None:
    step.fill()
    ended = step.run(COPY + "\nraise SystemExit(3)")
    assert ended.code == 3
    info = step.ended_job(ended.job)
    assert info.state == State.JOB_FAILURE
    assert files(step.pachd, "default", step.name, ended.job) == {}
    output = inspect_output(step.pachd, Reference("default", step.name, ended.job))
    assert output.metadata["kfp-pachyderm/failure"] == "the step's command ended with exit code 3"
    assert not (ended.folder / "commit").exists()


def test_child_that_is_killed(step: Runner) -> None:
    step.fill()
    assert step.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").code == 137


def test_command_that_does_not_exist(step: Runner) -> None:
    step.fill()
    argv = [dumps(step.config()), "--executor-input", step.executor_input(), "--", "/nowhere/train"]
    from kfp_pachyderm.launcher import __main__ as launcher

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KFP_PACHYDERM_ADDRESS", step.address)
        patch.setattr(launcher, "prepare", lambda: None)  # for a process of its own
        assert launcher.main(argv) == 127
    assert step.ended_job(step.jobs()[0].job.id).state == State.JOB_FAILURE


def test_validation_that_fails_after_the_child_succeeded(step: Runner) -> None:
    step.fill()
    code = """
import boto3
for key in ("k", "k/x"): boto3.client("s3").put_object(Bucket="out", Key=key, Body=b"1")
"""
    ended = step.run(code, step.config(gateway="direct"))
    assert ended.code == 1
    assert "JobFailedError" in ended.err
    assert step.job(ended).state == State.JOB_FAILURE


def test_nothing_of_the_launcher_reaches_the_child(step: Runner) -> None:
    step.fill()
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    ended = step.end(step.start(code, env={"KFP_PACHYDERM_TOKEN": "root-token"}))
    env = json.loads(next(line for line in ended.out.splitlines() if line.startswith("{")))
    assert "root-token" not in ended.out + ended.err
    assert env["PACH_JOB_ID"] == ended.job
    assert env["S3_ENDPOINT"].startswith("http://127.0.0.1:")
    spool = Path(env["PYTHONPATH"].split(":")[-1]).parent
    assert not spool.exists()


def test_by_the_bootstrap_with_a_bare_python(step: Runner) -> None:
    import os
    import subprocess
    import sys

    step.fill()
    base = str(Path(sys.base_prefix) / "bin" / "python3")
    argv = [dumps(step.config()), "--executor-input", step.executor_input(), "--"]
    env = {**os.environ, "KFP_PACHYDERM_ADDRESS": step.address, "KFP_PACHYDERM_PYTHON": sys.executable}
    code = "from kfp_pachyderm.runtime import current_step; print('job of the step', current_step().job)"
    ended = subprocess.run(
        [base, "-c", BOOTSTRAP, *argv, base, "-c", code], env=env, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert "job of the step" in ended.stdout


def test_name_of_the_task_and_name_of_the_author(step: Runner) -> None:
    step.fill()
    named = step.run(
        "", StepConfig(component="x", inputs=step.config().inputs, name=f"own-{step.name}", timeout=PATIENCE)
    )
    assert named.code == 0
    job = ClaimedJob("default", f"own-{step.name}", named.job)
    assert step.pachd.pps.inspect_job(job=job.message()).state == State.JOB_SUCCESS


def test_several_at_once_on_a_pipeline_that_does_not_exist_yet(step: Runner) -> None:
    step.fill()
    processes = [step.start("print('one of several')") for _ in range(4)]
    ended = [step.end(process) for process in processes]
    assert [one.code for one in ended] == [0] * 4
    jobs = {info.job.id: info for info in step.jobs()}
    assert set(jobs) == {one.job for one in ended}
    assert {info.state for info in jobs.values()} == {State.JOB_SUCCESS}
    assert {info.pipeline_version for info in jobs.values()} == {1}
