"""A release: the version has one source, the changelog has the notes, the release's checks find faults."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import kfp_pachyderm
from kfp_pachyderm.launcher.claim.job_signature import kfp_task
from kfp_pachyderm.launcher.config import StepConfig
from kfp_pachyderm.launcher.executor_input import Identity
from release.contents import check_wheel, expected_wheel
from release.version import ReleaseError, sections, set_version, version_of

ROOT = Path(__file__).parents[2]


def test_the_version_is_said_in_one_place() -> None:
    said = version_of(ROOT)
    assert version("kfp-pachyderm") == said, "pyproject.toml has changed: pip install -e . again"
    assert kfp_pachyderm.__version__ == said
    command = Path(sys.executable).with_name("kfp-pachyderm")
    shown = subprocess.check_output([str(command), "--version"], text=True)
    assert shown.split()[-1] == said
    # what the record names, and KFP's artifact
    assert kfp_task(StepConfig(component="edges", inputs=()), Identity()).package == said
    written = [file for file in (ROOT / "kfp_pachyderm").rglob("*.py") if f'= "{said}"' in file.read_text()]
    assert written == []


def tree(folder: Path) -> Path:
    for name in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_a_version_takes_what_is_unreleased(tmp_path: Path) -> None:
    before = sections((ROOT / "CHANGELOG.md").read_text())
    said = set_version(tree(tmp_path), "99.1.0", "2030-01-02")
    assert said == before["Unreleased"]
    assert version_of(tmp_path) == "99.1.0"
    text = (tmp_path / "CHANGELOG.md").read_text()
    assert sections(text) == {
        "Unreleased": "",
        "99.1.0": said,
        **{k: v for k, v in before.items() if k != "Unreleased"},
    }
    assert "## 99.1.0 - 2030-01-02\n" in text
    with pytest.raises(ReleaseError, match="nothing to release"):
        set_version(tmp_path, "99.2.0", "2030-01-03")
    with pytest.raises(ReleaseError, match="released"):
        set_version(tmp_path, "99.1.0", "2030-01-03")


@pytest.mark.parametrize("wrong", ["1.2", "v1.2.3", "1.2.3; rm", ""])
def test_what_is_no_version_changes_nothing(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ReleaseError, match="is no version"):
        set_version(tree(tmp_path), wrong, "2030-01-02")
    assert version_of(tmp_path) == version_of(ROOT)


@pytest.mark.parametrize("change", ["kfp_pachyderm/notes.txt", "tests/x.py", "-kfp_pachyderm/py.typed"])
def test_a_wheel_with_more_or_less_is_refused(tmp_path: Path, change: str) -> None:
    files = ["kfp_pachyderm/__init__.py", "kfp_pachyderm/py.typed", "README.md"]
    names = expected_wheel(files, "1.0.0")
    wheel = tmp_path / "kfp_pachyderm-1.0.0-py3-none-any.whl"
    _write(wheel, names)
    check_wheel(wheel, files, "1.0.0")
    _write(wheel, names - {change[1:]} if change.startswith("-") else names | {change})
    with pytest.raises(ReleaseError, match=re.escape(change.removeprefix("-"))):
        check_wheel(wheel, files, "1.0.0")


def _write(wheel: Path, names: set[str]) -> None:
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in names:
            archive.writestr(name, "")
