"""The child's environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from kfp_pachyderm.launcher.child.environment import child_environment
from kfp_pachyderm.runtime import Step

STEP = Step(
    endpoint="http://127.0.0.1:4711",
    access_key="KEY",
    secret_key="SECRET",
    inputs={"images": "vision/photos@" + "a" * 32, "edges": "vision/edges@" + "c" * 32},
    output_bucket="out",
    output_commit="vision/montage@" + "b" * 32,
    project="vision",
    pipeline="montage",
    job="b" * 32,
    datum="d" * 64,
)


def made(tmp_path: Path, **before: str) -> dict[str, str]:
    return child_environment(STEP, "http://sidecar:1600", tmp_path, before)


def test_variables_of_the_design(tmp_path: Path) -> None:
    env = made(tmp_path)
    assert (
        env["S3_ENDPOINT"] == env["AWS_ENDPOINT_URL"] == env["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:4711"
    )
    assert (env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]) == ("KEY", "SECRET")
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "us-east-1"
    assert (
        env["AWS_REQUEST_CHECKSUM_CALCULATION"] == env["AWS_RESPONSE_CHECKSUM_VALIDATION"] == "when_required"
    )
    assert env["AWS_EC2_METADATA_DISABLED"] == env["AWS_ALLOW_HTTP"] == "true"
    assert env["PACH_JOB_ID"] == env["PACH_OUTPUT_COMMIT_ID"] == "b" * 32
    assert env["PACH_DATUM_ID"] == "d" * 64
    assert env["images_COMMIT"] == "a" * 32
    assert env["PACHYDERM_S3_SIDECAR"] == "http://sidecar:1600"
    assert env["PACHYDERM_S3_INPUT_BUCKETS"] == "images,edges"
    assert env["PACHYDERM_S3_OUTPUT_BUCKET"] == "out"
    assert next(iter(json.loads(env["KFP_PACHYDERM_STEP"]))) == "version"


def test_what_would_beat_or_leak_is_removed(tmp_path: Path) -> None:
    env = made(
        tmp_path,
        KFP_PACHYDERM_TOKEN="t",
        KFP_PACHYDERM_FORWARDER="f",
        AWS_SESSION_TOKEN="s",
        AWS_PROFILE="p",
        AWS_REGION="x",
        MINE="m",
    )
    assert not {"KFP_PACHYDERM_TOKEN", "KFP_PACHYDERM_FORWARDER", "AWS_SESSION_TOKEN", "AWS_PROFILE"} & set(
        env
    )
    assert env["AWS_REGION"] == "us-east-1"
    assert env["MINE"] == "m"


def test_endpoint_is_reached_without_proxy(tmp_path: Path) -> None:
    assert made(tmp_path, NO_PROXY="corp.example")["no_proxy"] == "corp.example,127.0.0.1"


def test_runtime_is_importable_by_any_interpreter_and_nothing_else_is(tmp_path: Path) -> None:
    env = made(tmp_path, PATH=os.environ["PATH"])
    code = (
        "from kfp_pachyderm.runtime import current_step; import sys; print(current_step().job);"
        "assert not [m for m in ('kfp', 'grpc', 'pachyderm_sdk', 'cheroot') if m in sys.modules]"
    )
    base = Path(sys.base_prefix) / "bin" / "python3"  # has none of our dependencies
    out = subprocess.run([base, "-S", "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert out.strip() == STEP.job
    assert [one.name for one in (tmp_path / "import").iterdir()] == ["kfp_pachyderm"]
