"""Keys that Pachyderm can't hold, from step to step."""

from __future__ import annotations

import pytest
from launcher_steps import Runner, files  # type: ignore[import-not-found]

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.launcher.config import InputConfig
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.job import write_metadata
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pfs, pps
from kfp_pachyderm.provenance.graph.assemble import lineage

#: As a table writer names its files, and what a person calls one.
KEYS = ["t/data/p=a+b/00000-0.parquet", "t/at=2024-01-01T00:00:00+00:00/x", "São Paulo (1).csv", "plain"]
STORED = {
    "/t/data/p=a%2Bb/00000-0.parquet": 2,
    "/t/at=2024-01-01T00:00:00%2B00:00/x": 2,
    "/S%C3%A3o Paulo %281%29.csv": 2,
    "/plain": 2,
}
WRITE = f"""
import boto3
s3 = boto3.client("s3")
for key in {KEYS!r}: s3.put_object(Bucket="out", Key=key, Body=b"xx")
"""
READ = f"""
import boto3
s3 = boto3.client("s3")
found = [one["Key"] for one in s3.list_objects_v2(Bucket="before")["Contents"]]
assert found == sorted({KEYS!r}, key=str.encode), found
assert all(s3.get_object(Bucket="before", Key=key)["Body"].read() == b"xx" for key in found)
s3.put_object(Bucket="out", Key="seen%2B", Body=b"")
"""


def after(step: Runner) -> Runner:
    """Another pipeline, which reads the first one's commits."""
    second = Runner(step.address, step.pachd, step.folder, step.processes)
    second.folder = step.folder.with_name(second.name)
    second.folder.mkdir()
    return second


def test_a_step_that_reads_an_encoded_commit_sees_its_keys(step: Runner) -> None:
    step.fill()
    first = step.run(WRITE, step.config(keys="encode"))
    assert first.code == 0
    assert files(step.pachd, "default", step.name, first.job) == STORED
    described = first.output()["artifacts"]["pachyderm"]["artifacts"][0]
    assert described["metadata"]["keys"] == "percent"
    second = after(step)
    ended = second.run(READ, second.config(inputs=(InputConfig("before", step.name),)))
    assert ended.code == 0
    assert "input before: its keys are percent-encoded in Pachyderm\n" in ended.out + ended.err
    # its own keys are as they are
    assert files(step.pachd, "default", second.name, ended.job) == {"/seen%2B": 0}
    commit = Reference("default", second.name, ended.job)
    marks = [one.metadata.get("kfp-pachyderm/keys") for one in lineage(step.pachd, str(commit)).nodes]
    assert marks == [None, "percent", None]


def test_without_it_the_upload_is_refused(step: Runner) -> None:
    step.fill()
    ended = step.run(WRITE)
    assert ended.code == 1
    assert 's3_enabled(keys="encode")' in ended.err


def test_the_sidecars_own_s3_shows_the_stored_names_and_says_so(step: Runner) -> None:
    step.fill()
    assert step.run(WRITE, step.config(keys="encode")).code == 0
    second = after(step)
    code = "import boto3; print(boto3.client('s3').list_objects(Bucket='before')['Contents'])"
    inputs = (InputConfig("before", step.name),)
    ended = second.run(code, second.config(inputs=inputs, gateway="direct"))
    assert ended.code == 0
    assert "p=a%2Bb" in ended.out
    assert "percent-encoded in Pachyderm, and shown so" in ended.out + ended.err


def test_a_file_input_has_the_stored_names(step: Runner) -> None:
    step.fill()
    assert step.run(WRITE, step.config(keys="encode")).code == 0
    second = after(step)
    code = "import os; print(sorted(os.listdir(os.environ['PACH_INPUTS'] + '/before')))"
    inputs = (InputConfig("before", step.name, s3=False, glob="/*.csv"),)
    ended = second.run(code, second.config(inputs=inputs))
    assert ended.code == 0
    assert "['S%C3%A3o Paulo %281%29.csv']" in ended.out


def test_an_encoding_of_a_later_version_is_an_error_before_anything_is_made(step: Runner) -> None:
    step.fill()
    first = step.run(WRITE, step.config(keys="encode"))
    output = ClaimedJob("default", step.name, first.job).output
    write_metadata(step.pachd, output, {"kfp-pachyderm/keys": "base91"})
    second = after(step)
    ended = second.run("", second.config(inputs=(InputConfig("before", step.name),)))
    assert ended.code == 1
    assert "encoded as 'base91'" in ended.err
    pipeline = pps.Pipeline(project=pfs.Project(name="default"), name=second.name)
    with pytest.raises(NotFoundError):
        second.pachd.pps.inspect_pipeline(pipeline=pipeline)
