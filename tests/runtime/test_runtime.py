"""What user code gets of its step."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import kfp_pachyderm
from kfp_pachyderm.runtime import VARIABLE, NoStepError, Step, current_step

DATA = {
    "version": 1,
    "endpoint": "http://127.0.0.1:4711",
    "access_key": "KEY",
    "secret_key": "SECRET",
    "inputs": {"images": "vision/images@" + "a" * 32},
    "output_bucket": "out",
    "output_commit": "vision/edges@" + "b" * 32,
    "project": "vision",
    "pipeline": "edges",
    "job": "b" * 32,
    "datum": "d",
}


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    monkeypatch.setenv(VARIABLE, json.dumps(DATA))
    return current_step()


def test_step_says_what_it_is(step: Step) -> None:
    assert step.job == "b" * 32
    assert step.input_buckets == ["images"]
    assert step.output_bucket == "out"
    assert "SECRET" not in repr(step)


def test_outside_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(NoStepError, match="s3_enabled"):
        current_step()


def test_other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({**DATA, "version": 2}))
    with pytest.raises(NoStepError, match="recompile"):
        current_step()


def test_boto3(step: Step) -> None:
    from botocore.config import Config

    client = step.boto3_client(config=Config(read_timeout=7))
    assert client.meta.endpoint_url == DATA["endpoint"]
    assert client.meta.config.read_timeout == 7
    assert client.meta.config.s3["addressing_style"] == "path"
    assert client.meta.config.request_checksum_calculation == "when_required"


def test_minio(step: Step) -> None:
    assert step.minio_client()._base_url.host == "127.0.0.1:4711"


def test_settings_for_others(step: Step) -> None:
    assert step.storage_options() == {"key": "KEY", "secret": "SECRET", "endpoint_url": DATA["endpoint"]}
    conf = step.spark_conf()
    assert conf["spark.hadoop.fs.s3a.path.style.access"] == "true"
    assert conf["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"


def test_environment_is_what_a_process_elsewhere_needs(step: Step, tmp_path: Path) -> None:
    environment = step.environment()
    assert environment["AWS_ENDPOINT_URL"] == DATA["endpoint"]
    assert environment["images_COMMIT"] == "a" * 32
    code = (
        "import boto3\nfrom kfp_pachyderm.runtime import current_step\nstep = current_step()\n"
        "print(step.files, step.secret_key, step.boto3_client().meta.endpoint_url)\n"
        "print(boto3.client('s3').meta.endpoint_url)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path(kfp_pachyderm.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f" SECRET {DATA['endpoint']}\n{DATA['endpoint']}\n"


def test_what_is_printed_of_settings_shows_no_secret(step: Step) -> None:
    for settings in (step.environment(), step.storage_options(), step.spark_conf()):
        assert "SECRET" in "".join(settings.values())
        shown = f"{settings} {settings!r} {[settings]}"
        assert "SECRET" not in shown.replace("AWS_SECRET_ACCESS_KEY", "")
        assert "KEY" in repr(settings)
        # what gets it elsewhere needs no class of ours
        for again in (pickle.loads(pickle.dumps(settings)), copy.deepcopy(settings)):  # noqa: S301
            assert type(again) is dict
            assert again == settings
        assert json.loads(json.dumps(settings)) == settings


def test_presigned_addresses_are_of_version_4(step: Step) -> None:
    url = step.boto3_client().generate_presigned_url("get_object", {"Bucket": "images", "Key": "a"})
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_standard_library_only() -> None:
    file = Path(kfp_pachyderm.__file__).parent / "runtime.py"
    code = f"import runpy; runpy.run_path({str(file)!r})"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
