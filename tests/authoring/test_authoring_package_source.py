"""The source that steps install the launcher from, and the image and settings of the snapshot task."""

from typing import Any

import pytest
from google.protobuf import json_format
from kfp import dsl, kubernetes

import kfp_pachyderm as pachyderm
from kfp_pachyderm.authoring.task_connection import pip_arguments
from kfp_pachyderm.launcher.bootstrap import PACKAGE_VARIABLE

VERSION = f"kfp-pachyderm=={pachyderm.__version__}"
WHEEL = "https://example.com/kfp_pachyderm-0.1.0-py3-none-any.whl"


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="registry.example.com/python:3.11")
def look() -> str:
    return ""


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        (None, VERSION),
        ("kfp-pachyderm>=0.1,<0.2", "kfp-pachyderm>=0.1,<0.2"),
        ("https://pip.example.com/simple", f"--index-url https://pip.example.com/simple {VERSION}"),
        (WHEEL, WHEEL),
        (f"{WHEEL}#sha256={'0' * 64}", f"{WHEEL}#sha256={'0' * 64}"),
        ("/mnt/wheels", f"--no-index --find-links /mnt/wheels {VERSION}"),
    ],
)
def test_package_becomes_pips_arguments(package: str | None, arguments: str) -> None:
    assert pip_arguments(pachyderm.Connection(package=package)) == arguments


def test_without_a_connection_it_is_the_version_that_compiles() -> None:
    assert pip_arguments(None) == VERSION


def executors(pipeline: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = json_format.MessageToDict(pipeline.pipeline_spec)["deploymentSpec"]["executors"]
    platform = json_format.MessageToDict(pipeline.platform_spec).get("platforms", {})
    settings = platform.get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    return {name: one["container"] for name, one in spec.items()}, settings


def test_users_word_on_the_package_is_the_last() -> None:
    @dsl.pipeline
    def run():
        look().set_env_variable(PACKAGE_VARIABLE, "kfp-pachyderm==0.0.1")

    containers, _ = executors(run)
    assert {"name": PACKAGE_VARIABLE, "value": "kfp-pachyderm==0.0.1"} in containers["exec-look"]["env"]


def test_snapshot_runs_where_its_first_step_does() -> None:
    """Except for settings that become known during the run."""

    @dsl.pipeline
    @pachyderm.pipeline
    def run(volume: str = "data"):
        look(images="images@" + "0" * 32).set_container_image("python:3.13")
        task = look()
        task.set_container_image("registry.example.com/torch:2")
        kubernetes.set_image_pull_secrets(task, ["registry"])
        kubernetes.mount_pvc(task, pvc_name="wheels", mount_path="/mnt/wheels")
        kubernetes.mount_pvc(task, pvc_name=volume, mount_path="/data")

    containers, settings = executors(run)
    snapshot = settings["exec-pachyderm-snapshot"]
    assert containers["exec-pachyderm-snapshot"]["image"] == "registry.example.com/torch:2"
    assert [one["secretName"] for one in snapshot["imagePullSecret"]] == ["registry"]
    assert [one["mountPath"] for one in snapshot["pvcMount"]] == ["/mnt/wheels"]


def test_snapshot_takes_the_components_image_where_a_parameter_decides() -> None:
    @dsl.pipeline
    @pachyderm.pipeline
    def run(image: str = "python:3.12"):
        look().set_container_image(image)

    containers, settings = executors(run)
    assert containers["exec-pachyderm-snapshot"]["image"] == "registry.example.com/python:3.11"
    # the namespace's default connection, and no setting of the step
    assert set(settings["exec-pachyderm-snapshot"]) in (
        {"configMapAsEnv", "configMapAsVolume", "secretAsEnv"},
        {"configMapAsVolume", "secretAsVolume"},  # kfp 2.14
    )
