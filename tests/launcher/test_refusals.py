"""Bad input, each with its own error, before anything is created."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from launcher_steps import Runner  # type: ignore[import-not-found]

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.launcher.config import InputConfig
from kfp_pachyderm.pachd.references import repo_message
from kfp_pachyderm.pachd.sdk import pfs, pps


def refused(step: Runner, error: str, *texts: str, config: Any = None, **parameters: str) -> None:
    branches = branches_of(step)
    ended = step.run("raise SystemExit(9)", config, **parameters)
    assert ended.code == 1
    assert error in ended.err
    for text in texts:
        assert text in ended.err
    assert "job=" not in ended.out
    assert branches_of(step) == branches
    with pytest.raises(NotFoundError):
        step.pachd.pps.inspect_pipeline(
            pipeline=pps.Pipeline(project=pfs.Project(name="default"), name=step.name)
        )


def branches_of(step: Runner) -> list[str]:
    try:
        found = step.pachd.pfs.list_branch(repo=repo_message("default", f"in-{step.name}"))
        return sorted(one.branch.name for one in found)
    except NotFoundError:
        return []


def test_repo_that_does_not_exist(step: Runner) -> None:
    refused(step, "RepoNotFoundError", f"in-{step.name}")


def test_branch_that_does_not_exist(step: Runner) -> None:
    step.fill()
    refused(step, "BranchNotFoundError", "nowhere", images=f"in-{step.name}@nowhere")


def test_commit_that_does_not_exist(step: Runner) -> None:
    step.fill()
    refused(step, "CommitNotFoundError", "f" * 32, images=f"in-{step.name}@{'f' * 32}")


def test_text_that_is_no_reference(step: Runner) -> None:
    step.fill()
    refused(step, "CommitReferenceError", "write repo@branch", images="master")


def test_commit_that_is_never_finished(step: Runner) -> None:
    step.fill()
    step.pachd.pfs.start_commit(
        branch=pfs.Branch(repo=repo_message("default", f"in-{step.name}"), name="master")
    )
    refused(step, "CommitNotFinishedError", config=step.config(timeout=5.0))


def test_empty_input(step: Runner) -> None:
    repo = repo_message("default", f"in-{step.name}")
    step.pachd.pfs.create_repo(repo=repo)
    commit = step.pachd.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
    step.pachd.pfs.finish_commit(commit=commit)
    refused(step, "EmptyInputError", "run no user code")


def test_name_that_pachyderm_does_not_take(step: Runner) -> None:
    step.fill()
    refused(step, "SpecError", "s3_enabled(name=...)", config=step.config(name="No_Name"))


def test_nobody_at_the_address(step: Runner) -> None:
    step.fill()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        step.address = f"grpc://127.0.0.1:{probe.getsockname()[1]}"
    refused(step, "PachydermUnreachableError", step.address, config=step.config(timeout=0.5))


def test_pipeline_of_somebody_else(step: Runner) -> None:
    step.fill()
    name = pps.Pipeline(project=pfs.Project(name="default"), name=step.name)
    step.pachd.pps.create_pipeline(
        pipeline=name,
        transform=pps.Transform(cmd=["true"]),
        input=pps.Input(
            pfs=pps.PfsInput(project="default", repo=f"in-{step.name}", glob="/", branch="other")
        ),
    )
    before = step.pachd.pps.inspect_pipeline(pipeline=name, details=True)
    ended = step.run("raise SystemExit(9)")
    assert ended.code == 1
    assert "PipelineNotOwnedError" in ended.err
    after = step.pachd.pps.inspect_pipeline(pipeline=name, details=True)
    assert (after.version, after.details.transform.cmd) == (before.version, ["true"])
    assert f"kfp_{step.name}" not in branches_of(step)


def test_repo_where_the_pipeline_would_write(step: Runner) -> None:
    step.fill()
    step.pachd.pfs.create_repo(repo=repo_message("default", step.name))
    refused(step, "PipelineNotOwnedError", "is a repo already")


def test_input_repo_of_another_project_is_never_made(step: Runner) -> None:
    inputs = (InputConfig("images", "photos", project="nowhere"),)
    refused(step, "RepoNotFoundError", "nowhere", config=step.config(inputs=inputs))


@pytest.mark.parametrize("argv", [[], ["{}"], ["{}", "--executor-input", "{}"]])
def test_wrong_call(argv: list[str]) -> None:
    from kfp_pachyderm.launcher.__main__ import main

    assert main(argv) == 2
