"""The code blocks of docs/trigger.md, as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import kfp
import pytest
import yaml
from trigger_steps import make_repo, put, started

from kfp_pachyderm.pachd.sdk import pfs
from tests.waiting import PATIENCE, wait_for

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs" / "trigger.md").read_text()
BLOCKS = [(kind, text) for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]


def of(kind):
    return [text for found, text in BLOCKS if found == kind]


@pytest.fixture
def there(tmp_path, server, kfp_api, monkeypatch):
    """A folder with train.py, and an environment that leads to both."""
    (code,) = of("python")
    (tmp_path / "train.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KFP_PACHYDERM_ADDRESS", server)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", kfp_api.url)
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    return tmp_path


def run_trigger(command, pachd):
    """Runs a line of the page for one commit; the commit."""
    with subprocess.Popen(command.split(), stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stdout.readline, "")
            assert any("follows" in line for line in lines)
            commit = put(pachd, "images", project="vision")
            assert any(f"{commit}: run" in line for line in lines)
        finally:
            process.terminate()
            process.stdout.read()
        assert process.wait(PATIENCE) == 0
    return commit


def test_commands_as_they_stand(pachd, there, kfp_api):
    pachd.pfs.create_project(project=pfs.Project(name="vision"))
    make_repo(pachd, "images", project="vision")
    compile_it, first, second = "".join(of("sh")).splitlines()
    subprocess.run(compile_it.split(), check=True, timeout=PATIENCE)
    commits = [run_trigger(first, pachd)]
    with pytest.warns(FutureWarning):
        kfp.Client(host=kfp_api.url).upload_pipeline(str(there / "train.yaml"), "train")
    commits.append(run_trigger(second, pachd))
    assert started(kfp_api) == commits
    assert kfp_api.runs[0]["runtime_config"]["parameters"]["epochs"] == 5
    wait_for(lambda: kfp_api.runs[1]["display_name"] == f"nightly {commits[1]}")


def test_the_kustomization_as_it_stands(there):
    (text,) = of("yaml")
    (there / "train.yaml").write_text("root: {}\n")
    base = os.path.relpath(ROOT / "manifests" / "trigger", there.resolve())
    (there / "kustomization.yaml").write_text(text.replace("manifests/trigger", base))
    built = subprocess.run(
        [BIN / "kubectl", "kustomize", there.resolve()], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (pod,) = [one for one in yaml.safe_load_all(built.stdout) if one["kind"] == "Deployment"]
    (container,) = pod["spec"]["template"]["spec"]["containers"]
    assert container["args"][2] == "--package=/train/train.yaml"
    # the name with its hash
    (volume,) = [one for one in pod["spec"]["template"]["spec"]["volumes"] if one["name"] == "train"]
    assert volume["configMap"]["name"].startswith("train-")
