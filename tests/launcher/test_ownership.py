"""What a step made is marked as its own; what has the same name and is not is refused, untouched."""

from __future__ import annotations

from pathlib import Path

from launcher_steps import Ended, Runner  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import InputConfig, StepConfig
from kfp_pachyderm.pachd.claims.ownership import OWNER, OWNER_KEY
from kfp_pachyderm.pachd.references import repo_message
from kfp_pachyderm.pachd.sdk import pfs, pps
from tests.waiting import PATIENCE


def in_pipeline(step: Runner, pipeline: str) -> None:
    """From now on the step's steps are those of a KFP pipeline of that name, run by kfp.local."""
    step.folder = step.folder.parent.parent / f"{pipeline}-2026-01-02-03-04-05-678901" / step.name
    step.folder.mkdir(parents=True, exist_ok=True)


def pipeline_of(step: Runner) -> pps.Pipeline:
    return pps.Pipeline(project=pfs.Project(name="default"), name=step.name)


def claim_branch(step: Runner) -> pfs.Branch:
    return pfs.Branch(repo=repo_message("default", f"in-{step.name}"), name=f"kfp_{step.name}")


def refused(ended: Ended, *texts: str) -> None:
    assert ended.code == 1
    assert "PipelineNotOwnedError" in ended.err
    assert "job=" not in ended.out
    for text in (*texts, "s3_enabled(name=...)", "@kfp_pachyderm.pipeline(project=...)"):
        assert text in ended.err


def test_what_a_step_makes_is_marked(step: Runner) -> None:
    step.fill()
    project = f"made-by-{step.name}"
    inputs = (InputConfig("images", f"in-{step.name}", project="default"),)
    assert step.run("", step.config(project=project, inputs=inputs)).code == 0
    (branch,) = [
        one
        for one in step.pachd.pfs.list_branch(repo=repo_message("default", f"in-{step.name}"))
        if one.branch.name.startswith("kfp_")
    ]
    repo = step.pachd.pfs.inspect_repo(repo=repo_message(project, step.name))
    made = step.pachd.pfs.inspect_project(project=pfs.Project(name=project))
    assert [one.metadata.get(OWNER_KEY) for one in (branch, repo, made)] == [OWNER] * 3
    info = step.pachd.pps.inspect_pipeline(
        pipeline=pps.Pipeline(project=pfs.Project(name=project), name=step.name), details=True
    )
    assert info.details.metadata.annotations[OWNER_KEY] == OWNER
    assert info.details.metadata.annotations["kfp-pachyderm/component"] == step.name
    assert info.details.sidecar_resource_requests.memory == "1Gi"


def test_claim_branch_of_somebody_else(step: Runner) -> None:
    commit = pfs.Commit(repo=repo_message("default", f"in-{step.name}"), id=step.fill())
    step.pachd.pfs.create_branch(branch=claim_branch(step), head=commit)
    step.fill(b=b"B")
    refused(step.run("raise SystemExit(9)"), f"default/in-{step.name}@kfp_{step.name}", "not made by")
    assert step.pachd.pfs.inspect_branch(branch=claim_branch(step)).head.id == commit.id
    assert not [one for one in step.pachd.pps.list_pipeline() if one.pipeline.name == step.name]


def test_new_input_whose_claim_branch_is_somebody_elses(step: Runner) -> None:
    step.fill()
    assert step.run("").code == 0
    more = Runner(step.address, step.pachd, Path())
    repo = repo_message("default", f"in-{more.name}")
    commit = pfs.Commit(repo=repo, id=more.fill())
    step.pachd.pfs.create_branch(branch=pfs.Branch(repo=repo, name=f"kfp_{step.name}"), head=commit)
    inputs = (*step.config().inputs, InputConfig("more", f"in-{more.name}"))
    refused(step.run("", step.config(inputs=inputs)), f"in-{more.name}@kfp_{step.name}")
    assert len(step.jobs()) == 1


def test_claim_branch_that_outlives_its_pipeline_is_ours(step: Runner) -> None:
    step.fill()
    assert step.run("").code == 0
    step.pachd.pps.delete_pipeline(pipeline=pipeline_of(step))
    assert step.pachd.pfs.inspect_branch(branch=claim_branch(step))
    assert step.run("").code == 0


def test_two_kfp_pipelines_that_want_one_pipeline(step: Runner) -> None:
    step.fill()
    in_pipeline(step, "edge-detection")
    assert step.run("").code == 0
    before = bytes(step.pachd.pps.inspect_pipeline(pipeline=pipeline_of(step), details=True).details)
    in_pipeline(step, "other-pipeline")
    refused(step.run(""), f"default/{step.name}", "'edge-detection'", "'other-pipeline'")
    after = bytes(step.pachd.pps.inspect_pipeline(pipeline=pipeline_of(step), details=True).details)
    assert after == before
    assert len(step.jobs()) == 1


def test_two_components_that_want_one_pipeline(step: Runner) -> None:
    step.fill()
    assert step.run("", step.config(name=step.name)).code == 0
    other = StepConfig(component="other", inputs=step.config().inputs, name=step.name, timeout=PATIENCE)
    refused(step.run("", other), f"component '{step.name}'", "component 'other'")
    assert len(step.jobs()) == 1


def test_the_same_pipeline_compiled_anew_may_have_it(step: Runner) -> None:
    step.fill()
    in_pipeline(step, "edge-detection")
    assert step.run("", step.config(digest="sha256:1")).code == 0
    changed = step.config(digest="sha256:2", pipeline_spec={"description": "changed"})
    assert step.run("", changed).code == 0
    assert len(step.jobs()) == 2
