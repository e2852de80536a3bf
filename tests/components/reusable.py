"""The reusable components as a user loads them, steps around them, and what Pachyderm holds afterwards."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kfp import components, dsl
from kfp.dsl import Artifact, Dataset, Input, Output
from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.launcher.config import ReusableConfig, dumps
from kfp_pachyderm.testing import Pachyderm
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2] / "components"
NAMES = ("s3_pipeline/run", "repo/put", "repo/get", "commit/resolve")


def load(name: str) -> Any:
    return components.load_component_from_file(str(ROOT / name / "component.yaml"))


run, put, get, resolve = map(load, NAMES)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def make_table(table: Output[Dataset], text: str = "a,b", folder: bool = False):
    import os

    if not folder:
        with open(table.path, "w") as file:
            file.write(text)
        return
    os.makedirs(os.path.join(table.path, "deep", "empty"))
    for name in ("one.csv", "deep/two.csv"):
        with open(os.path.join(table.path, name), "w") as file:
            file.write(text + name)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def read_table(table: Input[Artifact]) -> str:
    import os

    if os.path.isfile(table.path):
        with open(table.path) as file:
            return file.read()
    return ",".join(sorted(name for _, _, names in os.walk(table.path) for name in names))


@contextlib.contextmanager
def start(
    pachyderm: Pachyderm, component: str, folder: Path, artifact: Path | None = None, **inputs: Any
) -> Iterator[subprocess.Popen[str]]:
    """A component's command, as a process of its own."""
    given = {"parameterValues": {"timeout": PATIENCE, **inputs}}
    if artifact:
        given["artifacts"] = {"artifact": {"artifacts": [{"name": "artifact", "uri": str(artifact)}]}}
    outputs = {
        "parameters": {"commit": {"outputFile": str(folder / "commit")}},
        "artifacts": {"artifact": {"artifacts": [{"name": "artifact", "uri": str(folder / "artifact")}]}},
    }
    argv = [
        dumps(ReusableConfig(component)),
        "--executor-input",
        json.dumps({"inputs": given, "outputs": outputs}),
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "kfp_pachyderm.launcher", *argv, "--"],
        env={**os.environ, "KFP_PACHYDERM_ADDRESS": pachyderm.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def files(pachyderm: Pachyderm, commit: str) -> dict[str, bytes]:
    """Path → content of every file of a commit."""
    handle, found = pfs.Commit.from_uri(commit), {}
    for info in pachyderm.client.pfs.walk_file(file=pfs.File(commit=handle, path="/")):
        if info.file_type == pfs.FileType.FILE:
            with pachyderm.client.pfs.pfs_file(info.file) as content:
                found[info.file.path] = content.read()
    return found


def inspect(pachyderm: Pachyderm, commit: str) -> pfs.CommitInfo:
    return pachyderm.client.pfs.inspect_commit(commit=pfs.Commit.from_uri(commit))


#: User code of a pipeline that knows nothing of KFP: it copies every object, reversed.
REVERSE = """
import boto3, os
s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name="us-east-1")
for one in s3.list_objects(Bucket="images")["Contents"]:
    body = s3.get_object(Bucket="images", Key=one["Key"])["Body"].read()
    s3.put_object(Bucket="out", Key=one["Key"], Body=body[::-1])
"""


def create_pipeline(pachyderm: Pachyderm, code: str = REVERSE, **fields: Any) -> pps.Pipeline:
    """Somebody's S3-enabled pipeline vision/edges, which reads vision/images@master."""
    spec = {
        "pipeline": {"name": "edges", "project": {"name": "vision"}},
        "input": {"pfs": {"repo": "images", "glob": "/", "s3": True}},
        "transform": {"cmd": ["python3", "-c", code]},
        "s3_out": True,
        **fields,
    }
    pachyderm.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    return pps.Pipeline(name="edges", project=pfs.Project(name="vision"))


def jobs(pachyderm: Pachyderm, pipeline: pps.Pipeline) -> list[pps.JobInfo]:
    """All jobs of a pipeline, newest first."""
    return list(pachyderm.client.pps.list_job(pipeline=pipeline, history=-1))
