"""Many commits as one input: a folder for each, or one flat bucket."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import replace
from typing import Any

import pytest
from launcher_steps import Runner, files, put  # type: ignore[import-not-found]

from kfp_pachyderm.errors import (
    CommitNotFoundError,
    EmptyInputError,
    NotFoundError,
    PermanentError,
    PipelineNotOwnedError,
)
from kfp_pachyderm.launcher.claim.open_job import open_step
from kfp_pachyderm.launcher.config import InputConfig, StepConfig
from kfp_pachyderm.launcher.executor_input import Execution, Identity
from kfp_pachyderm.pachd.claims.gathering import PREFIX
from kfp_pachyderm.pachd.commits import commit_facts
from kfp_pachyderm.pachd.commits.commit_facts import CommitFacts
from kfp_pachyderm.pachd.commits.direct_inputs import direct_inputs
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs.job import write_metadata
from kfp_pachyderm.pachd.references import GATHERED, KEYS, Reference, commit_message, repo_message
from kfp_pachyderm.pachd.sdk import pfs, pps
from kfp_pachyderm.provenance import verify
from tests.faults.fault_pachd import FaultyPachd
from tests.waiting import PATIENCE

#: Tells what a step sees of its input.
LOOK = """
import boto3, json, os
from kfp_pachyderm.runtime import current_step
s3, step = boto3.client("s3"), current_step()
def listed(**options):
    asked = s3.get_paginator("list_objects_v2").paginate(
        Bucket="part", PaginationConfig={"PageSize": 2}, **options)
    pages = list(asked)
    return [one["Key"] for page in pages for one in page.get("Contents", [])], [
        one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])]
keys, _ = listed()
print("SEEN " + json.dumps({
    "inputs": step.inputs, "buckets": step.input_buckets,
    "variable": os.environ["PACHYDERM_S3_INPUT_BUCKETS"],
    "commits": {name: value for name, value in os.environ.items() if name.endswith("_COMMIT")},
    "objects": {key: s3.get_object(Bucket="part", Key=key)["Body"].read().decode() for key in keys},
    "folders": listed(Delimiter="/")[1], "below": listed(Prefix="1/")[0],
    "all": [one["Name"] for one in s3.list_buckets()["Buckets"]]}))
s3.put_object(Bucket="out", Key="done", Body=b"x")
"""
NOTHING = "raise SystemExit('the command must not run')"


def many(step: Runner, **fields: Any) -> Any:
    return step.config(inputs=(InputConfig("part", f"in-{step.name}", many=True, **fields),))


def parts(step: Runner, *contents: dict[str, bytes]) -> list[str]:
    """Commits with exactly these files, of branches of their own in one repo."""
    repo = f"in-{step.name}"
    step.pachd.pfs.create_repo(repo=repo_message("default", repo))
    return [
        f"default/{repo}@{put(step.pachd, repo, one, branch=f'b{index}')}"
        for index, one in enumerate(contents)
    ]


def lineage(pachd: Pachd, commit: Reference) -> list[CommitFacts]:
    """The commit, and all that it was made from."""
    behind = commit_facts.walk(pachd, commit, down=False, depth=0)
    return [commit_facts.inspect(pachd, commit), *(one for one in behind if one.repo_type == "user")]


def seen(ended: Any) -> dict[str, Any]:
    assert ended.code == 0
    line = next(line for line in ended.out.splitlines() if line.startswith("SEEN "))
    return dict(json.loads(line.removeprefix("SEEN ")))


def test_each_commit_is_a_folder_and_provenance_names_each(step: Runner) -> None:
    a, b = parts(step, {"x": b"1", "sub/y": b"2"}, {"x": b"3"})
    found = seen(step.run(LOOK, many(step), part=[a, b, a]))
    assert found["objects"] == {"0/x": "1", "0/sub/y": "2", "1/x": "3", "2/x": "1", "2/sub/y": "2"}
    assert found["inputs"] == {"part/0": a, "part/1": b, "part/2": a}
    assert found["variable"] == "part/0,part/1,part/2"
    assert found["buckets"] == ["part"]
    assert found["folders"] == ["0/", "1/", "2/"]
    assert found["below"] == ["1/x"]
    assert found["all"] == sorted(["out", "part", step.name, f"in-{step.name}"])
    ids = [one.partition("@")[2] for one in (a, b)]
    assert found["commits"] == {"part_0_COMMIT": ids[0], "part_1_COMMIT": ids[1], "part_2_COMMIT": ids[0]}
    (job, *others) = step.pachd.pps.list_job(
        pipeline=pps.Pipeline(name=step.name, project=pfs.Project(name="default"))
    )
    assert not others
    output = Reference("default", step.name, job.job.id)
    every = {str(one.commit): one for one in lineage(step.pachd, output)}
    assert {a, b} <= set(every)
    (gathered,) = every[str(output)].inputs
    assert {str(one) for one in every[str(gathered)].inputs} == {a, b}
    verified = verify(str(output), deep=True, client=step.pachd)
    assert (verified.faults, verified.unseen) == ((), ())
    assert {str(one.commit) for one in verified.commits} == {str(output), a, b}
    described = json.loads((step.folder / "executor_output.json").read_text())
    metadata = described["artifacts"]["pachyderm"]["artifacts"][0]["metadata"]
    assert metadata["input_commits"] == ", ".join([a, b, a])
    assert metadata["input_part/1"] == b
    assert not leftovers(step)


def leftovers(step: Runner) -> list[str]:
    """Branches that should have existed while a commit was made only."""
    every = [
        one.branch.name
        for repo in step.pachd.pfs.list_repo(type="user")
        for one in step.pachd.pfs.list_branch(repo=repo.repo)
    ]
    return [name for name in every if name.startswith(PREFIX)]


def test_other_widths_change_no_pipeline_and_other_repos_may_be_among_them(step: Runner) -> None:
    a, b = parts(step, {"x": b"1"}, {"x": b"2"})
    other = f"default/else-{step.name}@{put(step.pachd, f'else-{step.name}', {'z': b'9'})}"
    assert seen(step.run(LOOK, many(step), part=[a]))["objects"] == {"0/x": "1"}
    found = seen(step.run(LOOK, many(step), part=[b, other, a]))["objects"]
    assert found == {"0/x": "2", "1/z": "9", "2/x": "1"}
    pipeline = pps.Pipeline(name=step.name, project=pfs.Project(name="default"))
    assert step.pachd.pps.inspect_pipeline(pipeline=pipeline).version == 1


def test_left_out_it_is_the_head_of_its_branch(step: Runner) -> None:
    put(step.pachd, f"in-{step.name}", {"x": b"1"})
    assert seen(step.run(LOOK, many(step)))["objects"] == {"0/x": "1"}


def test_a_merged_bucket_is_flat_and_an_empty_commit_adds_nothing(step: Runner) -> None:
    a, b, empty = parts(step, {"x": b"1", "sub/y": b"2"}, {"sub/z": b"3"}, {})
    found = seen(step.run(LOOK, many(step, merge=True), part=[a, empty, b, a]))
    assert found["objects"] == {"x": "1", "sub/y": "2", "sub/z": "3"}
    assert found["inputs"] == {"part": ",".join([a, empty, b, a])}
    assert found["variable"] == "part"
    assert seen(step.run(LOOK, many(step, merge=False), part=[empty, a]))["objects"] == {
        "1/x": "1",
        "1/sub/y": "2",
    }


@pytest.mark.parametrize(("one", "other"), [("x", "x"), ("x", "x/y"), ("x/y", "x")])
def test_a_key_that_two_commits_hold_is_refused_before_anything_exists(
    step: Runner, one: str, other: str
) -> None:
    a, b = parts(step, {one: b"1", "a": b""}, {other: b"2", "b": b""})
    ended = step.run(NOTHING, many(step, merge=True), part=[a, b])
    assert ended.code == 1
    assert "MergeError: input 'part' is merged into one bucket" in ended.err
    assert a in ended.err
    assert b in ended.err
    assert repr(other) in ended.err
    assert_nothing_was_made(step)


def assert_nothing_was_made(step: Runner) -> None:
    for repo in (step.name, f"{step.name}_part"):
        with pytest.raises(NotFoundError):
            step.pachd.pfs.inspect_repo(repo=repo_message("default", repo))
    assert not leftovers(step)


def opened(step: Runner, config: StepConfig, value: Any) -> None:
    """Opens the step in this process, as the launcher does first of all."""
    execution = Execution({"inputs": {"parameterValues": {"part": value}}}, Identity(task=step.name))
    open_step(step.pachd, config, execution, time.monotonic() + PATIENCE)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("in@master", "takes a list of commits (many=True), and got 'in@master'"),
        ([], "got a list of no commits"),
        (["in@master", ""], "got an empty reference as number 1 of its list"),
        ([None], "got an empty reference as number 0 of its list"),
        ([["in@master"]], 'got ["in@master"] as number 0 of its list'),
        ([7], "got 7 as number 0 of its list"),
        (["in@master"] * 201, "takes 200 commits at most, and got 201"),
        (["no reference"], "'no reference' is no commit reference"),
        (["nothing-there@master"], "project default has no repo 'nothing-there'"),
    ],
)
def test_what_is_no_list_of_commits_is_refused(step: Runner, value: Any, said: str) -> None:
    with pytest.raises(PermanentError, match=re.escape(said)):
        opened(step, many(step), value)
    assert_nothing_was_made(step)


def test_commits_without_files_alone_are_refused(step: Runner) -> None:
    with pytest.raises(EmptyInputError, match="none of its 2 commits has files"):
        opened(step, many(step), parts(step, {}, {}))
    assert_nothing_was_made(step)


def test_a_commit_that_was_deleted_meanwhile_is_named(step: Runner) -> None:
    a, b = parts(step, {"x": b"1"}, {"x": b"2"})
    gone = Reference("default", f"in-{step.name}", b.partition("@")[2])
    step.pachd.pfs.delete_branch(branch=pfs.Branch(repo=repo_message("default", gone.repo), name="b1"))
    step.pachd.pfs.drop_commit(commit=commit_message(gone))
    with pytest.raises(CommitNotFoundError, match=str(gone)):
        opened(step, many(step), [a, b])
    assert_nothing_was_made(step)


def test_a_repo_of_others_is_not_written_to(step: Runner) -> None:
    (a,) = parts(step, {"x": b"1"})
    put(step.pachd, f"{step.name}_part", {"theirs": b""})
    with pytest.raises(PipelineNotOwnedError, match=f"repo default/{step.name}_part exists"):
        opened(step, many(step), [a])


def test_encoded_and_plain_commits_are_seen_by_their_keys(step: Runner) -> None:
    a, b, c = parts(step, {"p=a%2Bb": b"1"}, {"50%": b"2", "plain": b"3"}, {"q": b"4"})
    encoded = Reference("default", f"in-{step.name}", a.partition("@")[2])
    write_metadata(step.pachd, encoded, {KEYS: "percent"})
    found = seen(step.run(LOOK, many(step), part=[a, b, c]))["objects"]
    assert found == {"0/p=a+b": "1", "1/50%": "2", "1/plain": "3", "2/q": "4"}
    merged = seen(step.run(LOOK, many(step, merge=True), part=[a, b, c]))["objects"]
    assert merged == {"p=a+b": "1", "50%": "2", "plain": "3", "q": "4"}


def test_channels_in_a_list_are_resolved(step: Runner) -> None:
    a, b = parts(step, {"x": b"1"}, {"x": b"2"})
    channel = "{{$.inputs.parameters['pipelinechannel--one-commit']}}"
    given = {"part": [channel, b], "pipelinechannel--one-commit": a}
    assert seen(step.run(LOOK, many(step), **given))["inputs"] == {"part/0": a, "part/1": b}


def test_the_sidecars_own_endpoint_has_the_folders_too(step: Runner) -> None:
    a, b = parts(step, {"x": b"1"}, {"x": b"2"})
    code = """
import boto3
keys = [one["Key"] for one in boto3.client("s3").list_objects(Bucket="part")["Contents"]]
assert keys == ["0/x", "1/x"], keys
"""
    config = step.config(gateway="direct", inputs=(InputConfig("part", f"in-{step.name}", many=True),))
    assert step.run(code, config, part=[a, b]).code == 0


def test_one_repo_as_two_inputs(step: Runner) -> None:
    a, b = parts(step, {"x": b"1"}, {"x": b"2"})
    code = """
import boto3
s3 = boto3.client("s3")
assert [s3.get_object(Bucket=one, Key="x")["Body"].read() for one in ("one", "two")] == [b"1", b"2"]
"""
    config = step.config(
        inputs=(InputConfig("one", f"in-{step.name}"), InputConfig("two", f"in-{step.name}"))
    )
    ended = step.run(code, config, one=a, two=b)
    assert ended.code == 0
    every = {str(one.commit) for one in lineage(step.pachd, Reference("default", step.name, ended.job))}
    assert {a, b} <= every


def test_a_step_that_is_killed_while_it_gathers_is_in_nobodys_way(step: Runner) -> None:
    made = parts(step, *({"x": b"%d" % index} for index in range(60)))
    process: list[subprocess.Popen[str]] = []
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        # the branches are there by then, for a moment only
        proxy.before("ModifyFile", lambda: process[0].kill())
        runner = replace(step, address=f"grpc://{proxy.address}")
        process.append(runner.start(NOTHING, many(step), part=made))
        step.end(process[0])
    left = leftovers(step)
    assert left
    found = seen(step.run(LOOK, many(step), part=made[:2]))
    assert found["objects"] == {"0/x": "0", "1/x": "1"}
    assert set(leftovers(step)) <= set(left)


def test_pachyderm_has_one_commit_between_that_holds_them_as_they_are(step: Runner) -> None:
    a, b = parts(step, {"x": b"1"}, {"x": b"22"})
    ended = step.run("pass", many(step), part=[a, b])
    output = commit_message(Reference("default", step.name, ended.job))
    (gathered,) = direct_inputs(step.pachd.pfs.inspect_commit(commit=output))
    assert gathered.repo == f"{step.name}_part"
    assert files(step.pachd, "default", gathered.repo, gathered.version) == {"/0/x": 1, "/1/x": 2}
    info = step.pachd.pfs.inspect_commit(commit=commit_message(gathered))
    assert {str(one) for one in direct_inputs(info)} == {a, b}
    assert info.metadata == {GATHERED: "2"}
