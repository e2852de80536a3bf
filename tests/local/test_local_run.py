"""Steps and pipelines on this machine: the real launcher, holder, adapter and embedded Pachyderm."""

# ruff: noqa: B006 - lists and dicts as defaults are what is tested

import functools
import importlib.util
from typing import Dict, List, NamedTuple

import pytest
from kfp import dsl
from kfp.dsl import Dataset, Input, Output
from pachyderm_sdk.api import pfs, pps

import kfp_pachyderm as pach
from kfp_pachyderm.testing import Pachyderm

needs_loops = pytest.mark.skipif(
    importlib.util.find_spec("kfp.local.orchestrator") is None, reason="kfp.local 2.14 runs no loops"
)
component = functools.partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@pach.s3_enabled(inputs=[pach.S3Input("images")])
@component()
def copy(suffix: str = ".out", fail: bool = False) -> int:
    """Copies every image."""
    import boto3

    s3 = boto3.client("s3")
    found = s3.list_objects_v2(Bucket="images")["Contents"]
    for one in found:
        body = s3.get_object(Bucket="images", Key=one["Key"])["Body"].read()
        s3.put_object(Bucket="out", Key=one["Key"] + suffix, Body=body)
    if fail:
        raise SystemExit(7)
    return len(found)


@pach.s3_enabled(inputs=[pach.S3Input("copy"), pach.S3Input("images")])
@component()
def join() -> str:
    import boto3

    s3 = boto3.client("s3")
    keys = [one["Key"] for name in ("copy", "images") for one in s3.list_objects_v2(Bucket=name)["Contents"]]
    s3.put_object(Bucket="out", Key="keys", Body=",".join(keys).encode())
    return ",".join(keys)


@pach.s3_enabled(inputs=[pach.S3Input("images")])
@component()
def several(
    table: Output[Dataset],
    sizes: List[int] = [1, 2],
    options: Dict[str, int] = {"a": 1},
) -> NamedTuple("Made", [("total", int), ("first", str)]):
    with open(table.path, "w") as file:
        file.write("a,b")
    table.metadata["rows"] = 1
    # Numbers come as floats out of KFP's lists and dicts.
    return (int(sum(sizes) + sum(options.values())), next(iter(options)))


@pach.s3_enabled(inputs=[pach.S3Input("images")], s3_out=False)
@component()
def read(table: Input[Dataset]) -> str:
    with open(table.path) as file:
        return f"{file.read()} {int(table.metadata['rows'])}"


def content(pachyderm: Pachyderm, commit: str, path: str) -> bytes:
    with pachyderm.client.pfs.pfs_file(pfs.File.from_uri(f"{commit}:{path}")) as file:
        return file.read()


def test_single_component(pachyderm: Pachyderm) -> None:
    images = pachyderm.put("images", {"a.txt": "A", "b.txt": "B"})
    task = copy(suffix=".copy")
    commit = task.outputs["commit"]
    assert (task.output, task.outputs["Output"]) == (2, 2)
    assert commit.startswith("default/copy@")
    assert content(pachyderm, commit, "/a.txt.copy") == b"A"

    record = task.outputs["pachyderm"]
    job = commit.partition("@")[2]
    assert job in str(record.metadata)
    assert images.partition("@")[2] in str(record.metadata)
    with open(record.path) as page:
        assert job in page.read()

    pipeline = pps.Pipeline(name="copy", project=pfs.Project(name="default"))
    info = pachyderm.client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=job))
    assert info.state == pps.JobState.JOB_SUCCESS
    assert [
        one.id
        for one in pachyderm.client.pfs.inspect_commit(commit=pfs.Commit.from_uri(commit)).direct_provenance
    ]


def test_pipeline_takes_one_snapshot_and_wires_commits(pachyderm: Pachyderm) -> None:
    first = pachyderm.put("vision/images", {"a.txt": "A"})

    @dsl.pipeline(name="copies")
    @pach.pipeline(project="vision")
    def copies(suffix: str = ".x") -> NamedTuple("Out", [("commit", str), ("keys", str)]):
        made = copy(suffix=suffix)
        joined = join(copy=made.outputs["commit"])
        return NamedTuple("Out", [("commit", str), ("keys", str)])(joined.outputs["commit"], joined.output)

    run = copies()
    assert run.outputs["keys"] == "a.txt.x,a.txt"
    joined = pachyderm.client.pfs.inspect_commit(commit=pfs.Commit.from_uri(run.outputs["commit"]))
    inputs = {f"{one.repo.name}@{one.id}" for one in joined.direct_provenance}
    assert any(one.startswith("copy@") for one in inputs)
    assert first.partition("/")[2].partition("@")[2] in lineage(pachyderm, run.outputs["commit"])


def lineage(pachyderm: Pachyderm, commit: str) -> set[str]:
    """IDs of all commits that a commit was made from."""
    found, open_ = set[str](), [pfs.Commit.from_uri(commit)]
    while open_:
        info = pachyderm.client.pfs.inspect_commit(commit=open_.pop())
        for one in info.direct_provenance:
            head = pachyderm.client.pfs.inspect_commit(commit=one)
            found |= {one.id, head.commit.id, head.parent_commit.id if head.parent_commit else ""}
            open_.append(one)
    return found


@pytest.mark.parametrize("given", ["", "images@master", "default/images@master", "pinned"])
def test_pipeline_parameter_names_the_input(pachyderm: Pachyderm, given: str) -> None:
    pinned = pachyderm.put("images", {"old.txt": "A"})
    pachyderm.put("images", {"new.txt": "B"})

    @dsl.pipeline(name="chosen")
    @pach.pipeline
    def chosen(images: str = "") -> int:
        return copy(images=images).output

    assert chosen(images=pinned if given == "pinned" else given).output == (1 if given == "pinned" else 2)


def test_artifacts_lists_dicts_and_defaults(pachyderm: Pachyderm) -> None:
    pachyderm.put("images", {"a.txt": "A"})

    @dsl.pipeline(name="tables")
    @pach.pipeline
    def tables(sizes: List[int] = [3, 4]) -> NamedTuple(
        "Out", [("total", int), ("default", int), ("text", str)]
    ):
        made = several(sizes=sizes, options={"b": 5})
        text = read(table=made.outputs["table"]).output
        default = several().outputs["total"]
        return NamedTuple("Out", [("total", int), ("default", int), ("text", str)])(
            made.outputs["total"], default, text
        )

    run = tables()
    assert (run.outputs["total"], run.outputs["default"], run.outputs["text"]) == (12, 4, "a,b 1")


@needs_loops
def test_loops_and_branches(pachyderm: Pachyderm) -> None:
    pachyderm.put("images", {"a.txt": "A"})

    @component()
    def total(values: List[int]) -> int:
        return int(sum(values))

    @dsl.pipeline(name="looped")
    @pach.pipeline
    def looped() -> int:
        with dsl.ParallelFor(["x", "y"], parallelism=1) as suffix:
            made = copy(suffix=suffix)
        return total(values=dsl.Collected(made.output)).output

    assert looped().output == 2


@needs_loops
def test_loop_over_an_output_with_a_commit_from_outside(pachyderm: Pachyderm) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    again = pach.s3_enabled(copy.step.original, inputs=[pach.S3Input("images")], name="again")

    @component()
    def suffixes() -> List[str]:
        return ["x", "y"]

    @component()
    def same(values: List[str]) -> str:
        return ",".join(values)

    @dsl.pipeline(name="looped")
    @pach.pipeline
    def looped() -> str:
        made = copy()
        with dsl.ParallelFor(suffixes().output, parallelism=1) as suffix:
            further = again(suffix=suffix, images=made.outputs["commit"])
        return same(values=dsl.Collected(further.outputs["commit"])).output

    commits = looped().output.split(",")
    assert len(set(commits)) == 2
    assert [content(pachyderm, one, f"/a.txt.out{end}") for one, end in zip(commits, "xy", strict=True)] == [
        b"A",
        b"A",
    ]


def test_a_nested_step_belongs_to_the_outer_pipeline_and_to_no_other(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str]
) -> None:
    pachyderm.put("images", {"a.txt": "A"})

    @dsl.pipeline(name="inner")
    def inner() -> int:
        return copy().output

    @dsl.pipeline(name="outer")
    @pach.pipeline
    def outer() -> int:
        return inner().output

    @dsl.pipeline(name="another")
    @pach.pipeline
    def another() -> int:
        return copy().output

    assert outer().output == 1
    with pytest.raises(RuntimeError):
        another()
    said = capfd.readouterr().out
    assert "component 'copy' of KFP pipeline 'outer'" in said
    assert "KFP pipeline 'another' wants it too" in said
    assert len(list(pachyderm.client.pps.list_job(details=False))) == 1


def test_failing_step_fails_the_run_and_the_job(pachyderm: Pachyderm) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    with pytest.raises(RuntimeError):
        copy(fail=True)
    pipeline = pps.Pipeline(name="copy", project=pfs.Project(name="default"))
    (job,) = pachyderm.client.pps.list_job(pipeline=pipeline, details=False)
    assert job.state == pps.JobState.JOB_FAILURE


def test_missing_repo_is_named_before_anything_is_made(
    pachyderm: Pachyderm, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError):
        copy()
    assert "RepoNotFoundError" in capfd.readouterr().out
    assert list(pachyderm.client.pps.list_pipeline(details=False)) == []


def test_files_are_laid_out_datum_by_datum(pachyderm: Pachyderm) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    pachyderm.put("lists", {"one.txt": "1", "two.txt": "2"})
    inputs = [pach.S3Input("images"), pach.FileInput("lists", "/*")]

    @pach.s3_enabled(inputs=inputs)
    @component()
    def each() -> str:
        import os

        import boto3

        folder = os.path.join(os.environ["PACH_INPUTS"], "lists")
        (name,) = os.listdir(folder)
        boto3.client("s3").upload_file(os.path.join(folder, name), "out", name)
        return name

    commit = each().outputs["commit"]
    assert [content(pachyderm, commit, f"/{name}.txt") for name in ("one", "two")] == [b"1", b"2"]


def test_direct_gateway_and_own_pipeline_name(pachyderm: Pachyderm) -> None:
    pachyderm.put("images", {"a.txt": "A"})
    direct = pach.s3_enabled(
        copy.step.original, inputs=[pach.S3Input("images")], gateway="direct", name="straight", project="own"
    )
    with pytest.raises(RuntimeError):
        direct()
    commit = direct(images="default/images@master").outputs["commit"]
    assert commit.startswith("own/straight@")
    assert content(pachyderm, commit, "/a.txt.out") == b"A"


def test_container_components_are_refused_as_kfp_refuses_them(pachyderm: Pachyderm) -> None:
    @dsl.container_component
    def shell():
        return dsl.ContainerSpec(image="python:3.11", command=["true"])

    with pytest.raises(RuntimeError, match="only supports running Lightweight Python Components"):
        pach.s3_enabled(shell, inputs=[pach.S3Input("images")])()
