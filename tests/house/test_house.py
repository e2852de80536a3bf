"""The repository's own rules: pinned versions, a reason beside each dependency, the README's commands."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pins_are_names_and_versions_only() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line), line


def test_every_dependency_says_what_it_is_for() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    named = project["dependencies"] + [
        one for extra in project["optional-dependencies"].values() for one in extra
    ]
    silent = [
        one
        for one in named
        if not one.startswith(("kfp-pachyderm[", "types-", "mypy", "ruff", "pytest>"))
        and not re.search(rf'"{re.escape(one)}",\s+#\s\S', text)
    ]
    assert silent == []


def test_every_command_of_the_readme_is_a_target() -> None:
    named = set(re.findall(r"^make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named
    assert named <= targets


def test_ci_runs_what_make_test_runs() -> None:
    assert "make ci" in (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^ci: test\b", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_core_that_compat_runs_is_there() -> None:
    """`make compat` named rooms that had been moved, and pytest ends at the first that is not there."""
    said = re.search(r"^CORE\s*:= (.*(?:\\\n.*)*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert said
    core = said[1].replace("\\", " ").split()
    assert core
    assert [one for one in core if not (ROOT / "tests" / one).is_dir()] == []


def test_import_is_light() -> None:
    heavy = ("kfp", "grpc", "pydantic", "cheroot")
    code = f"import sys, kfp_pachyderm; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_every_python_of_the_classifiers_was_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    table = (ROOT / "docs" / "compatibility.md").read_text()
    assert named
    assert [
        one for one in named if not re.search(rf"^\| {re.escape(one)}\.\d+ \|", table, re.MULTILINE)
    ] == []
