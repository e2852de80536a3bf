"""Which KFP task this is, as the backend and kfp.local say it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kfp_pachyderm.launcher.config import ReusableConfig, StepConfig, dumps
from kfp_pachyderm.launcher.executor_input import Identity, local_path, parse
from tests.waiting import PATIENCE

BACKEND = "minio://mlpipeline/v2/artifacts/edge-detection/run-id/edges-2/salt-id"


def outputs(output_file: str, uri: str = "") -> str:
    artifacts: dict[str, Any] = (
        {"pachyderm": {"artifacts": [{"name": "pachyderm", "uri": uri}]}} if uri else {}
    )
    parameters = {"commit": {"outputFile": "/kfp/outputs/commit"}}
    return json.dumps(
        {"outputs": {"outputFile": output_file, "artifacts": artifacts, "parameters": parameters}}
    )


@pytest.mark.parametrize(
    ("output_file", "uri"),
    [
        ("/minio/mlpipeline/v2/artifacts/edge-detection/run-id/edges-2/salt-id/output_metadata.json", ""),
        ("/gcs/bucket/edge-detection/run-id/edges-2/salt-id/output_metadata.json", ""),
        ("/kfp_outputs/output_metadata.json", f"{BACKEND}/pachyderm"),  # an unknown kind of pipeline root
    ],
)
def test_backend(output_file: str, uri: str) -> None:
    found = parse(outputs(output_file, uri), {"KFP_POD_UID": "uid", "KFP_RETRY_INDEX": "1"}).identity
    assert found == Identity("edge-detection", "run-id", "edges-2", "salt-id", "uid-1")


@pytest.mark.parametrize("between", ["", "for-loop-2-iteration-0/", "inner/condition-1/"])
def test_kfp_local(between: str) -> None:
    run = "edge-detection-2026-01-02-03-04-05-678901"
    found = parse(outputs(f"/home/me/local_outputs/{run}/{between}edges/executor_output.json"), {}).identity
    assert (found.pipeline, found.run, found.task, found.salt) == ("edge-detection", run, "edges", "")
    assert found.attempt.startswith("local-")


def test_nothing_known() -> None:
    found = parse("{}", {})
    assert found.identity.task == ""
    assert found.parameter("x") == ""
    assert found.parameter_file("commit") is None
    assert found.artifact("pachyderm") is None
    assert found.output_file is None


def test_parameters() -> None:
    found = parse(json.dumps({"inputs": {"parameterValues": {"images": "a@b", "sigma": 1.0}}}), {})
    assert found.parameter("images") == "a@b"
    assert found.parameter("sigma") == ""
    assert parse(outputs("/x/y"), {}).parameter_file("commit") == Path("/kfp/outputs/commit")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("minio://bucket/a/b", "/minio/bucket/a/b"),
        ("s3://bucket/a", "/s3/bucket/a"),
        ("gs://bucket/a", "/gcs/bucket/a"),
        ("/home/me/a", "/home/me/a"),
    ],
)
def test_where_kfp_keeps_artifacts(uri: str, path: str) -> None:
    assert local_path(uri) == Path(path)


def launched(config: str, executor_input: str) -> subprocess.CompletedProcess[str]:
    arguments = [config, "--executor-input", executor_input, "--", "true"]
    command = [sys.executable, "-m", "kfp_pachyderm.launcher", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def test_what_kfp_local_breaks_is_told_without_a_traceback() -> None:
    """A list that kfp.local has put a text with a double quote into."""
    broken = '{"inputs": {"parameterValues": {"labels": ["a "b" c"]}}}'
    config = dumps(StepConfig("look", ()))
    ended = launched(config, broken)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert "ProtocolError: what KFP says of the task is no JSON" in ended.stderr
    assert "pass it as a parameter of its own" in ended.stderr
    assert '"b"' not in ended.stderr


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (dumps(ReusableConfig("repo/burn")), "'repo/burn'"),
        ('{"version":1,"kind":"reusable","component":"repo/put","colour":"red"}', "'colour'"),
        ('{"version":1,"kind":"snapshot"}', "'project'"),
        ('{"version":1,"kind":"oven"}', "'oven'"),
        ('{"version":2,"kind":"step"}', "recompile"),
    ],
)
def test_a_config_of_another_release_is_told_without_a_traceback(config: str, wanted: str) -> None:
    given = '{"inputs": {"parameterValues": {"timeout": 1}}}'
    ended = launched(config, given)
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert "ProtocolError: " in ended.stderr
    assert wanted in ended.stderr
