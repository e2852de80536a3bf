"""Pachyderm's documented S3-enabled pipeline, run as its documentation writes it: boto3 user code, no KFP."""

from __future__ import annotations

import json

import grpc
import pytest
from pachyderm_sdk.api import pps

from kfp_pachyderm.authoring.spec import PipelineSpec
from tests.documented import DOCUMENTED

#: `DOCUMENTED` as YAML.
YAML = """\
pipeline:
  name: test
input:
  pfs:
    glob: /
    repo: s3://images
    s3: "true"
transform:
  cmd: [python3, /edges.py]
  image: pachyderm/opencv
s3_out: true
"""

SCRIPT = """\
import os

import boto3

s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name="us-east-1")
print("buckets", [one["Name"] for one in s3.list_buckets()["Buckets"]])
for one in s3.list_objects(Bucket="images")["Contents"]:
    content = s3.get_object(Bucket="images", Key=one["Key"])["Body"].read()
    s3.put_object(Bucket="out", Key="edges/" + one["Key"], Body=content[::-1])
"""


@pytest.mark.parametrize("text", [DOCUMENTED, YAML], ids=["json", "yaml"])
def test_the_documented_example_runs(bench, tmp_path, text):
    script = tmp_path / "edges.py"
    script.write_text(SCRIPT)
    bench.put("images", {"/a.png": b"abc", "/dir/b.png": b"def"})
    with pytest.warns(UserWarning, match="Pachyderm refuses this spelling") as seen:
        spec = PipelineSpec.load(text.replace("/edges.py", str(script)))
    assert len(seen) == 2
    fields = json.loads(spec.model_dump_json(exclude_unset=True))
    fields["pipeline"]["project"] = {"name": bench.project.name}
    bench.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(fields))
    job = next(bench.client.pps.list_job(pipeline=bench.pipeline("test"))).job
    info = bench.ended(job)
    assert (info.state, info.data_processed) == (pps.JobState.JOB_SUCCESS, 1), bench.log(job)
    assert bench.log(job) == ["buckets ['images', 'out']"]
    assert bench.paths(info.output_commit) == ["/edges/a.png", "/edges/dir/b.png"]
    assert bench.read(info.output_commit, "/edges/dir/b.png") == b"fed"
    # As with any pipeline, the next commit on the input's branch makes the next job.
    bench.put("images", {"/c.png": b"ghi"})
    newer = next(bench.client.pps.list_job(pipeline=bench.pipeline("test"))).job
    assert newer.id != job.id
    assert "/edges/c.png" in bench.paths(bench.ended(newer).output_commit)
    origin = bench.client.pfs.inspect_commit(commit=bench.commit("test", newer.id)).direct_provenance
    assert {one.repo.name for one in origin if one.repo.type == "user"} == {"images"}


def _s3(**more):
    return {"pfs": {"repo": "images", "glob": "/", "s3": True, **more}}


_FILES = {"pfs": {"repo": "texts", "glob": "/*"}}
_INSTEAD = "requires input data to be accessed via Pachyderm's S3 gateway rather than the file system"
_STATS = "stats are not supported for pipelines that output via Pachyderm's S3 gateway"
_REFUSED = {
    "glob": ({"input": _s3(glob="/*")}, "inputs that set 's3' to 'true' must also set 'glob', to \"/\""),
    "join": ({"input": {"join": [_s3(), _FILES]}}, "S3 inputs in join expressions are not supported"),
    "union": ({"input": {"union": [_s3(), _FILES]}}, "S3 inputs in union expressions are not supported"),
    "group": ({"input": {"group": [_s3(), _FILES]}}, "S3 inputs in group expressions are not supported"),
    "lazy": ({"input": _s3(lazy=True)}, "input cannot specify both 's3' and 'lazy', as 's3' " + _INSTEAD),
    "empty_files": (
        {"input": _s3(empty_files=True)},
        "input cannot specify both 's3' and 'empty_files', as 's3' " + _INSTEAD,
    ),
    "service": (
        {"input": _s3(), "s3_out": True, "service": {"internal_port": 80}},
        "s3 output is not supported",
    ),
    "spout": ({"s3_out": True, "spout": {}}, "s3 output is not supported in spouts or services"),
    "stats": ({"input": _s3(), "s3_out": True, "enable_stats": True}, _STATS),
    "string": ({"input": _s3(s3="true")}, "could not make effective spec"),
}


@pytest.mark.parametrize("rule", _REFUSED)
def test_its_rules_are_refused_in_pachyderms_words(bench, rule):
    more, text = _REFUSED[rule]
    for repo in ("images", "texts"):
        bench.client.pfs.create_repo(repo=bench.repo(repo))
    spec = {
        "pipeline": {"name": "test", "project": {"name": bench.project.name}},
        "transform": {"cmd": ["true"]},
        **more,
    }
    with pytest.raises(grpc.RpcError) as error:
        bench.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    assert text in error.value.details()
    assert not bench.client.pps.pipeline_exists(bench.pipeline("test"))
    assert [one.repo.name for one in bench.client.pfs.list_repo(type="user", projects=[bench.project])] == [
        "texts",
        "images",
    ]


def test_stats_are_an_unknown_field_where_no_s3_output_is(bench):
    spec = {"pipeline": {"name": "x"}, "transform": {"cmd": ["true"]}, "enable_stats": True}
    with pytest.raises(grpc.RpcError, match='unknown field "enable_stats"'):
        bench.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
