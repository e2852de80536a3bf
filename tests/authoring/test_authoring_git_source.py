"""Each task gets kfp's version and the git commit of the pipeline's file."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kfp
import pytest
from google.protobuf import json_format

from kfp_pachyderm.authoring.git_source import SOURCE_VARIABLE
from kfp_pachyderm.launcher.config import COMPILED_VARIABLE

PIPELINE = """
from kfp import dsl
import kfp_pachyderm as pachyderm

@pachyderm.s3_enabled(inputs=[pachyderm.S3Input("images")])
@dsl.component(base_image="python:3.11")
def look(): ...

@dsl.pipeline
{decorator}def plain():
    look()
    look()
"""


def git(folder: Path, *command: str) -> str:
    settings = ("-c", "user.name=me", "-c", "user.email=me@here", "-c", "init.defaultBranch=main")
    ended = subprocess.run(
        ["git", *settings, *command], cwd=folder, check=True, capture_output=True, text=True
    )
    return ended.stdout.strip()


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SOURCE_VARIABLE, raising=False)


@pytest.fixture(params=["", "@pachyderm.pipeline\n"], ids=["undecorated", "decorated"])
def repo(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "repo"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines/look.py").write_text(PIPELINE.format(decorator=request.param))
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def loaded(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location("pipelines_of_a_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(file: Path) -> dict[str, Any]:
    spec = json_format.MessageToDict(loaded(file).plain.pipeline_spec)
    found = {
        one["value"]
        for name, executor in spec["deploymentSpec"]["executors"].items()
        if name.startswith("exec-look")
        for one in executor["container"]["env"]
        if one["name"] == COMPILED_VARIABLE
    }
    (text,) = found
    data = dict(json.loads(text))
    assert data.pop("kfp") == kfp.__version__
    return data


def test_commit_file_and_whether_it_is_as_committed(repo: Path) -> None:
    file, commit = repo / "pipelines/look.py", git(repo, "rev-parse", "HEAD")
    assert told(file) == {"commit": commit, "dirty": False, "file": "pipelines/look.py"}
    (repo / "untracked").write_text("of no interest")
    assert told(file)["dirty"] is False
    (repo / "pipelines/helper.py").write_text("1")
    git(repo, "add", ".")
    assert told(file)["dirty"] is True
    git(repo, "commit", "-qm", "second")
    assert told(file) == {**told(file), "dirty": False, "commit": git(repo, "rev-parse", "HEAD")}
    file.write_text(file.read_text() + "\n")
    assert told(file)["dirty"] is True


def test_a_file_that_git_does_not_know_is_not_as_committed(repo: Path) -> None:
    other = repo / "pipelines/other.py"
    other.write_text((repo / "pipelines/look.py").read_text())
    assert told(other)["dirty"] is True


@pytest.mark.parametrize("repo", [""], indirect=True)
def test_head_is_found_however_git_keeps_it(repo: Path, tmp_path: Path) -> None:
    file, commit = repo / "pipelines/look.py", git(repo, "rev-parse", "HEAD")
    git(repo, "pack-refs", "--all")
    assert told(file)["commit"] == commit
    git(repo, "checkout", "-q", "--detach")
    assert told(file)["commit"] == commit
    git(repo, "worktree", "add", "-q", "-b", "topic", str(tmp_path / "tree"))
    assert told(tmp_path / "tree/pipelines/look.py") == {
        "commit": commit,
        "dirty": False,
        "file": "pipelines/look.py",
    }
    git(repo, "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    git(repo, "symbolic-ref", "HEAD", "refs/heads/alias")
    assert told(file)["commit"] == commit


@pytest.mark.parametrize("repo", [""], indirect=True)
def test_without_the_program_the_commit_is_known_all_the_same(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(repo, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", "")
    assert told(repo / "pipelines/look.py") == {"commit": commit, "file": "pipelines/look.py"}


@pytest.mark.parametrize("repo", [""], indirect=True)
def test_no_commit_where_there_is_none(repo: Path, tmp_path: Path) -> None:
    alone = tmp_path / "look.py"
    alone.write_text((repo / "pipelines/look.py").read_text())
    assert told(alone) == {}
    git(repo, "checkout", "-q", "--orphan", "unborn")
    assert told(repo / "pipelines/look.py") == {}
    (repo / ".git/HEAD").write_text("nonsense")
    assert told(repo / "pipelines/look.py") == {}
    (repo / ".git/HEAD").unlink()
    assert told(repo / "pipelines/look.py") == {}


@pytest.mark.parametrize("repo", [""], indirect=True)
def test_code_in_no_file_stands_where_the_compiler_does(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = PIPELINE.format(decorator="")
    program = (
        "import linecache, sys\n"
        f"text = {cell!r}\n"
        "linecache.cache['<cell>'] = (len(text), None, text.splitlines(True), '<cell>')\n"
        "space = {}\n"
        "exec(compile(text, '<cell>', 'exec'), space)\n"
        "print(space['plain'].pipeline_spec)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=repo, check=True, capture_output=True, text=True
    )
    commit = git(repo, "rev-parse", "HEAD")
    assert f'\\"commit\\":\\"{commit}\\",\\"dirty\\":false}}' in ended.stdout


@pytest.mark.parametrize("repo", [""], indirect=True)
def test_the_author_has_the_last_word(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SOURCE_VARIABLE, "abc123")
    assert told(repo / "pipelines/look.py") == {"commit": "abc123"}
    monkeypatch.setenv(SOURCE_VARIABLE, "")
    assert told(repo / "pipelines/look.py") == {}


@pytest.mark.parametrize("repo", [""], indirect=True)
def test_variables_of_a_hook_lead_to_no_other_repository(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    found = told(repo / "pipelines/look.py")
    monkeypatch.delenv("GIT_DIR")
    assert found == {"commit": git(repo, "rev-parse", "HEAD"), "dirty": False, "file": "pipelines/look.py"}


def test_a_component_alone_asks_nothing_of_git(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import of a module of components calls no git."""
    asked = list[Any]()
    monkeypatch.setattr("kfp_pachyderm.authoring.git_source._source", asked.append)
    file = repo / "pipelines/look.py"
    file.write_text(file.read_text().split("@dsl.pipeline")[0])
    loaded(file)
    assert asked == []
    assert os.environ.get(SOURCE_VARIABLE) is None
