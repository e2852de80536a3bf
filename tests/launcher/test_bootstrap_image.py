"""Compiled commands where they run: in an image that knows nothing of this package, by KFP's own runner."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, List

import pytest
import yaml
from kfp import dsl, local
from launcher_steps import put  # type: ignore[import-not-found]
from step_image import (  # type: ignore[import-not-found]
    ROOT,
    Image,
    fill,
    image_python,
    need_namespaces,
)

import kfp_pachyderm as pachyderm
from kfp_pachyderm.launcher.bootstrap import BOOTSTRAP
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.testing import Pachyderm

MakeImage = Callable[..., Image]
OFFLINE = {"KFP_PACHYDERM_PACKAGE": "--no-index --find-links /mnt/wheels kfp-pachyderm"}


@pytest.fixture(scope="module")
def wheels(pytestconfig: pytest.Config) -> Path:
    folder = pytestconfig.cache.mkdir("wheels")
    fill(folder, [image_python(), sys.executable])
    return folder


@pytest.fixture
def image(wheels: Path, tmp_path: Path) -> MakeImage:
    need_namespaces()
    return lambda **parts: Image(tmp_path / "image", **{"wheels": wheels, **parts})


def golden(name: str) -> tuple[list[str], dict[str, str]]:
    text = (ROOT / "tests" / "authoring" / "golden" / f"{name}.yaml").read_text()
    (executor,) = yaml.safe_load(text)["deploymentSpec"]["executors"].values()
    container = executor["container"]
    env = {one["name"]: one["value"] for one in container["env"]}
    return container["command"] + container["args"], env


def resolved(command: list[str], values: dict[str, Any]) -> list[str]:
    """The command as KFP's launcher starts it."""
    placeholders = {
        "{{$}}": json.dumps(values),
        "{{$.outputs.parameters['found'].output_file}}": values["outputs"]["parameters"]["found"][
            "outputFile"
        ],
    }
    return [placeholders.get(one, one) for one in command]


def executor_input() -> dict[str, Any]:
    page = {"name": "pachyderm", "uri": "/tmp/outputs/page", "metadata": {}}  # noqa: S108 - in the image
    return {
        "inputs": {},
        "outputs": {
            "parameters": {
                name: {"outputFile": f"/tmp/outputs/{name}"}  # noqa: S108 - in the image
                for name in ("found", "commit")
            },
            "artifacts": {"pachyderm": {"artifacts": [page]}},
            "outputFile": "/tmp/outputs/executor_output.json",  # noqa: S108 - in the image
        },
    }


def test_step_as_nobody_on_a_read_only_root(image: MakeImage, server: str, pachd: Pachd) -> None:
    """Modules and pip settings of the image are not in the launcher's way; pip comes from the folder."""
    put(pachd, "images", {"a": b"A"})
    here = image(hidden=[*_without_pip(), *_folder("ensurepip")])
    (here.app / "queue.py").write_text("raise ImportError('a module of the working folder')")
    (here.app / "lib").mkdir()
    (here.app / "lib" / "cheroot.py").write_text("'the version that user code wants'")
    (here.app / "none.txt").write_text("cheroot<1")
    (here.tmp / "outputs").mkdir()
    command, env = golden("offline")
    ended = here.run(
        resolved(command, executor_input()),
        **env,
        KFP_PACHYDERM_ADDRESS=server,
        PYTHONPATH="/app/lib",
        PIP_USER="1",
        PIP_REQUIRE_VIRTUALENV="1",
        PIP_CONSTRAINT="/app/none.txt",
    )
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in here.tmp.iterdir()] == ["outputs"]
    found = json.loads((here.tmp / "outputs" / "found").read_text())
    assert found["seen"] == []
    assert found["cheroot"] == "/app/lib/cheroot.py"
    assert (here.tmp / "outputs" / "commit").read_text() == f"default/outputs@{found['job']}"


def test_neither_pip_nor_its_wheel(image: MakeImage, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    without_pip = image(hidden=[*_without_pip(), *_folder("ensurepip")], wheels=tmp_path / "empty")
    ended = without_pip.run(["python3", "-c", BOOTSTRAP, "{}"], **OFFLINE)
    assert ended.returncode == 1
    assert "has no pip to install the launcher with: add pip or kfp-pachyderm to the image" in ended.stderr


def test_pip_comes_from_ensurepip(image: MakeImage, tmp_path: Path) -> None:
    """As in an environment that uv made."""
    if not _folder("ensurepip"):
        pytest.skip("the image's Python has no ensurepip, as Debian's without python3-venv")
    (tmp_path / "empty").mkdir()
    ended = image(hidden=_without_pip(), wheels=tmp_path / "empty").run(
        ["python3", "-c", BOOTSTRAP, "{}"], **OFFLINE
    )
    assert ended.returncode == 1
    assert "No matching distribution found for kfp-pachyderm" in ended.stderr


def test_nothing_can_be_written(image: MakeImage) -> None:
    ended = image(writable=False).run(["python3", "-c", BOOTSTRAP, "{}"], **OFFLINE)
    assert ended.returncode == 1
    assert "Mount a volume at /tmp (kubernetes.empty_dir_mount)" in ended.stderr


def _folder(module: str) -> list[str]:
    """Where the image's Python has a module; empty if it has none."""
    code = "import importlib.util, sys; print(getattr(importlib.util.find_spec(sys.argv[1]), 'origin', ''))"
    command = [image_python(), "-I", "-c", code, module]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [str(Path(one).parent) for one in found]


def _without_pip() -> list[str]:
    """All that has been installed: an empty folder `pip` would still be a module."""
    return [str(Path(one).parent) for one in _folder("pip")]


def wheel_of_the_user(folder: Path) -> None:
    """A wheel of a version that the launcher can't use."""
    with zipfile.ZipFile(folder / "cheroot-0.0.1-py3-none-any.whl", "w") as wheel:
        info = "cheroot-0.0.1.dist-info"
        wheel.writestr("cheroot/__init__.py", "VERSION = '0.0.1'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: cheroot\nVersion: 0.0.1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11", packages_to_install=["cheroot==0.0.1"])
def installed() -> List[str]:
    import importlib.util

    import cheroot

    names = ("grpc", "betterproto", "pachyderm_sdk", "anycrc", "kfp_pachyderm.runtime")
    return [cheroot.VERSION, *filter(importlib.util.find_spec, names)]


def test_kfps_own_bootstrap_works_inside(
    pachyderm: Pachyderm, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KFP's runner makes an empty environment: there KFP installs itself and the component's packages."""
    wheel_of_the_user(tmp_path)
    monkeypatch.delenv("KFP_PACHYDERM_PYTHON")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{wheels} {tmp_path}")
    images = pachyderm.put("images", {"a": b"A"})
    local.init(local.SubprocessRunner(use_venv=True), pipeline_root=str(tmp_path / "outputs"))
    assert installed(images=images).output == ["0.0.1", "kfp_pachyderm.runtime"]
