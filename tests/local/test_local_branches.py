"""Runs that skip steps: inputs that only the skipped steps read may be missing."""

import functools
from typing import List  # kfp 2.14 does not know list[str]

import pytest
from kfp import dsl
from pachyderm_sdk.api import pfs

import kfp_pachyderm as pach
from kfp_pachyderm.testing import Pachyderm

pytest.importorskip("kfp.local.orchestrator", reason="kfp.local 2.14 runs no conditions and no loops")
component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@pach.s3_enabled(inputs=[pach.S3Input("images")])
@component()
def small() -> int:
    return 1


@pach.s3_enabled(inputs=[pach.S3Input("archive")])
@component()
def full(label: str = "") -> int:
    import boto3

    return len(boto3.client("s3").list_objects_v2(Bucket="archive")["Contents"])


@component()
def nothing() -> List[str]:
    return []


@dsl.pipeline(name="modes")
@pach.pipeline
def modes(mode: str = "small", branch: str = "master") -> int:
    first = small()
    with dsl.If(mode == "full"):
        full()
    with dsl.Elif(mode == "fuller"):
        full(archive=f"archive@{branch}")
    return first.output


def test_a_branch_that_is_not_taken_needs_no_repo(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str]
) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    assert modes().output == 1
    said = capfd.readouterr().out
    assert "RepoNotFoundError: default/archive@master" in said
    assert "left to the steps that read it, should they run" in said


def test_a_branch_that_is_taken_fails_with_the_same_words(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str]
) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    with pytest.raises(RuntimeError):
        modes(mode="full")
    said = capfd.readouterr().out
    words = "RepoNotFoundError: default/archive@master: project default has no repo 'archive'; make it"
    snapshot, _, step = said.rpartition("left to the steps that read it, should they run")
    assert words in snapshot
    assert words in step
    assert [one.pipeline.name for one in pachyderm.client.pps.list_pipeline(details=False)] == ["small"]


def test_a_branch_that_is_taken_is_pinned_as_ever(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str]
) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    commit = pachyderm.put("archive", {"a.txt": "A"})
    assert modes(mode="fuller").output == 1
    assert f"snapshot archive={commit}" in capfd.readouterr().out


def test_nonsense_in_a_parameter_of_a_branch_that_is_not_taken(pachyderm: Pachyderm) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    assert modes(branch="no such/branch!").output == 1


def test_an_open_commit_of_a_branch_that_is_not_taken_holds_nobody_up(pachyderm: Pachyderm) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    client = pachyderm.client
    repo = pfs.Repo(name="archive", type="user", project=pfs.Project(name="default"))
    client.pfs.create_repo(repo=repo)
    client.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
    assert modes().output == 1


def test_a_loop_over_nothing_needs_no_repo(pachyderm: Pachyderm) -> None:
    pachyderm.put("images", {"a.txt": "A"})

    @dsl.pipeline(name="looping")
    @pach.pipeline
    def looping() -> int:
        with dsl.ParallelFor(nothing().output) as label:
            full(label=label)
        return small().output

    assert looping().output == 1
