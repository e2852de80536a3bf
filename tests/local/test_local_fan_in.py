"""Fan-out and fan-in by kfp.local: a loop, a loop in a loop, lists, a parameter."""

import functools
import importlib.util
from typing import List  # kfp 2.14 does not know list[str]

import pytest
from kfp import dsl

import kfp_pachyderm as pach
from kfp_pachyderm.testing import Pachyderm

component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@pach.s3_enabled(inputs=[pach.S3Input("letters")], concurrency=2)
@component()
def part(name: str):
    import boto3

    boto3.client("s3").put_object(Bucket="out", Key="name", Body=name.encode())


@pach.s3_enabled(inputs=[pach.S3Input("part", many=True)])
@component()
def merge() -> str:
    import boto3

    from kfp_pachyderm.runtime import current_step

    s3 = boto3.client("s3")
    keys = [f"{index}/name" for index, _ in enumerate(current_step().inputs)]
    s3.put_object(Bucket="out", Key="keys", Body=" ".join(keys).encode())
    return " ".join(s3.get_object(Bucket="part", Key=key)["Body"].read().decode() for key in keys)


@dsl.pipeline(name="loops")
@pach.pipeline
def loops(names: List[str]) -> str:
    with dsl.ParallelFor(["outer", "again"]), dsl.ParallelFor(names) as name:
        made = part(name=name)
    return merge(part=dsl.Collected(made.outputs["commit"])).output


@dsl.pipeline(name="lists")
@pach.pipeline
def lists(commits: List[str]) -> str:
    one, other = part(name="one"), part(name="other")
    both = merge(part=[other.outputs["commit"], one.outputs["commit"], other.outputs["commit"]])
    merge(part=commits)
    return both.output


@pytest.mark.skipif(
    importlib.util.find_spec("kfp.local.orchestrator") is None, reason="kfp.local 2.14 runs no loops"
)
def test_what_loops_made_is_read_in_their_order(pachyderm: Pachyderm) -> None:
    pachyderm.put("letters", {"a": "A"})
    assert loops(names=["b", "a"]).output == "b a b a"


def test_lists_of_outputs_and_a_parameter_that_the_snapshot_pins(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str]
) -> None:
    pachyderm.put("letters", {"a": "A"})
    commits = [pachyderm.put(repo, {"name": repo}) for repo in ("theirs", "vision/others")]
    assert lists(commits=["theirs@master", "vision/others@master"]).output == "other one other"
    assert f'=["{commits[0]}", "{commits[1]}"]' in capfd.readouterr().out


@pytest.mark.parametrize("bad", ["", ["theirs@master"]])
def test_a_parameter_that_is_no_list_of_commits_fails_before_anything_exists(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str], bad: object
) -> None:
    pachyderm.put("letters", {"a": "A"})
    pachyderm.put("theirs", {"name": "theirs"})
    with pytest.raises(RuntimeError):
        lists(commits=["theirs@master", bad])
    assert "as number 1 of its list: each must be one commit reference" in capfd.readouterr().out
    assert not list(pachyderm.client.pps.list_pipeline(details=False))


@pach.s3_enabled(inputs=[pach.S3Input("letters", name="old"), pach.S3Input("letters", name="new")])
@component()
def both() -> str:
    import boto3

    s3 = boto3.client("s3")
    return "".join(s3.get_object(Bucket=one, Key="a")["Body"].read().decode() for one in ("old", "new"))


@dsl.pipeline(name="twice")
@pach.pipeline
def twice(old: str) -> str:
    return both(old=old).output


def test_one_repo_as_two_inputs(pachyderm: Pachyderm) -> None:
    first = pachyderm.put("letters", {"a": "A"})
    pachyderm.put("letters", {"a": "B"})
    assert twice(old=first).output == "AB"
    assert [one.version for one in pachyderm.client.pps.list_pipeline(details=False)] == [1]
