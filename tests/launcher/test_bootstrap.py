"""The bootstrap's texts, as a step's command runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kfp_pachyderm.launcher.bootstrap import BOOTSTRAP, GUARD, bootstrap_command
from kfp_pachyderm.launcher.start import NEEDED, start
from tests.waiting import PATIENCE

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
        timeout=PATIENCE,
    )


def test_nothing_in_it_is_replaced_on_the_way() -> None:
    for text in ("python3", "{{", "$", "import kfp"):
        assert text not in BOOTSTRAP
    for text in ("{{", "$(", "$$"):
        assert text not in GUARD
    assert len(GUARD + BOOTSTRAP) < 3200


def test_named_interpreter_is_taken(tmp_path: Path) -> None:
    found = run(BASE, cwd=tmp_path, KFP_PACHYDERM_PYTHON=sys.executable)
    assert found.returncode == 2
    assert USAGE in found.stderr


def test_named_interpreter_is_the_only_one_that_starts(tmp_path: Path) -> None:
    """kfp.local replaces `python3` by its own interpreter, which may be another one: nothing runs it."""
    command = [one.replace("python3", str(tmp_path / "kfps")) for one in bootstrap_command(["sh"])]
    env = {"PATH": os.environ["PATH"], "KFP_PACHYDERM_PYTHON": str(tmp_path / "a python")}
    (tmp_path / "a python").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    (tmp_path / "a python").chmod(0o755)
    command += ['a "b" $c', "", "--"]
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert found.stdout == '-P|-m|kfp_pachyderm.launcher|a "b" $c||--|'


def test_launcher_of_the_image_is_taken(tmp_path: Path) -> None:
    found = run(sys.executable, cwd=tmp_path)
    assert found.returncode == 2
    assert USAGE in found.stderr


def test_no_way_to_install_says_what_to_do(tmp_path: Path) -> None:
    found = run(BASE, cwd=tmp_path, PIP_NO_INDEX="1", TMPDIR=str(tmp_path))
    assert found.returncode == 1
    assert "Put kfp-pachyderm into the image" in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_python_in_the_image_says_what_to_add(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    command = [str(tmp_path / "sh"), *bootstrap_command(["java"])[1:], "{}"]
    found = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert found.returncode == 127
    assert "this image has no python3" in found.stderr
    assert "apt-get install python3" in found.stderr


def test_python_is_asked_by_the_shell(tmp_path: Path) -> None:
    """Every argument comes through as it is."""
    (tmp_path / "sh").symlink_to("/bin/sh")
    (tmp_path / "python3").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    command = [str(tmp_path / "sh"), *bootstrap_command(["java"])[1:], 'a "b" $c', "", "--"]
    found = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert found.stdout == f'-c|{BOOTSTRAP}|a "b" $c||--|'


@pytest.mark.parametrize("program", ["python3", "python", "/usr/bin/python3.12"])
def test_components_that_start_python_need_no_shell(program: str) -> None:
    assert bootstrap_command([program, "main.py"]) == ["python3", "-c", BOOTSTRAP]


def test_unusable_folder_of_wheels_is_named(tmp_path: Path) -> None:
    package = "--no-index --find-links /nowhere/wheels kfp-pachyderm"
    found = run(BASE, cwd=tmp_path, KFP_PACHYDERM_PACKAGE=package)
    assert found.returncode == 1
    assert "no folder /nowhere/wheels, which Connection(package=...) names" in found.stderr


def test_dependencies_are_those_of_the_installed_package(capfd: pytest.CaptureFixture[str]) -> None:
    installed: list[str] = []
    assert start([], lambda *what: installed.extend(what), fresh=True) == 2
    assert sorted(one.split("<")[0] for one in installed) == sorted(NEEDED)
    assert all("<" in one and ">=" in one for one in installed)
    assert USAGE in capfd.readouterr().err


def test_what_is_left_of_a_dependency_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "left_over" / "__pycache__").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(NEEDED, "left-over", "left_over")
    installed: list[str] = []
    assert start([], lambda *what: installed.extend(what), fresh=False) == 2
    assert installed


def test_dependencies_of_the_image_are_taken_for_its_launcher() -> None:
    assert start([], pytest.fail, fresh=False) == 2
