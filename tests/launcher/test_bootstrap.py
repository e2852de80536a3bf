"""The bootstrap text, each of its three ways, as a step's command runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kfp_pachyderm.launcher.bootstrap import BOOTSTRAP

ROOT = Path(__file__).parents[2]
#: The launcher answers a wrong call with its usage and 2: proof that it runs, without any Pachyderm.
USAGE = "usage: python -m kfp_pachyderm.launcher"
BASE = Path(sys.base_prefix) / "bin" / "python3"


def run(python: Path | str, *, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [python, "-c", BOOTSTRAP, "{}"],
        env={**kept, **env},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_nothing_in_it_is_replaced_on_the_way() -> None:
    for text in ("python3", "{{", "$", "import kfp"):
        assert text not in BOOTSTRAP
    assert len(BOOTSTRAP) < 2000


def test_named_interpreter_is_taken(tmp_path: Path) -> None:
    found = run(BASE, cwd=tmp_path, KFP_PACHYDERM_PYTHON=sys.executable)
    assert found.returncode == 2
    assert USAGE in found.stderr


def test_launcher_of_the_image_is_taken(tmp_path: Path) -> None:
    found = run(sys.executable, cwd=tmp_path)
    assert found.returncode == 2
    assert USAGE in found.stderr


def test_no_way_to_install_says_what_to_do(tmp_path: Path) -> None:
    found = run(BASE, cwd=tmp_path, PIP_NO_INDEX="1", TMPDIR=str(tmp_path))
    assert found.returncode == 1
    assert "put kfp-pachyderm into the image" in found.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no package index to build the wheel with")
    return next(folder.glob("*.whl"))


def test_launcher_is_installed_into_a_private_folder_and_leaves_nothing(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "user"
    subprocess.run([BASE, "-m", "venv", environment], check=True)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    python = environment / "bin" / "python3"
    before = _installed(python)
    found = run(python, cwd=tmp_path, KFP_PACHYDERM_PACKAGE=str(wheel), TMPDIR=str(temporary))
    assert USAGE in found.stderr, found.stderr
    assert found.returncode == 2
    assert _installed(python) == before
    assert list(temporary.iterdir()) == []
    shutil.rmtree(environment)


def _installed(python: Path) -> str:
    return subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
