"""docs/openlineage.md: each of its code blocks, run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler
from schemas import check  # type: ignore[import-not-found]

from kfp_pachyderm.openlineage import configured
from tests.waiting import wait_for

DOCS = (Path(__file__).parents[2] / "docs" / "openlineage.md").read_text()
CONFIG, PIPELINE, SHOW, OBJECTS, VARIABLES = re.findall(r"```(?:python|yaml)\n(.*?)```", DOCS, re.DOTALL)


def run(name: str, code: str) -> str:
    Path(name).write_text(code)
    done = subprocess.run([sys.executable, name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_block_is_run_here() -> None:
    assert DOCS.count("\n```") == 2 * 5


def test_laptop() -> None:
    Path("openlineage.yml").write_text(CONFIG)
    run("words.py", PIPELINE)
    events = Path("events.jsonl")
    # The step does not wait for the last one.
    wait_for(lambda: events.exists() and len(events.read_text().splitlines()) == 2, "both events")
    for line in events.read_text().splitlines():
        check(json.loads(line))
    shown = run("show.py", SHOW).splitlines()
    (job,) = {line.split()[3] for line in shown if "default/count-words" in line}
    (texts,) = {line.split()[3] for line in shown if "default/texts" in line}
    assert shown == [
        f"{event} words.count-words {one}"
        for event in ("START", "COMPLETE")
        for one in (f"default/texts {texts}", f"default/count-words {job}")
    ]


def test_objects_of_a_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, secret = yaml.safe_load_all(OBJECTS)
    file = tmp_path / "mounted.yml"
    file.write_text(config["data"]["openlineage.yml"])
    monkeypatch.setattr(configured, "NAMESPACE_FILE", str(file))
    variables = {configured.NAMESPACE_AUTH_VARIABLE: secret["stringData"]["openlineage_auth"]}
    env = configured.sender_environment({**os.environ, **variables})
    assert env
    code = (
        "from openlineage.client import OpenLineageClient as Client; sent_by = Client().transport;"
        "print(sent_by.kind, sent_by.url, sent_by.config.auth.get_bearer())"
    )
    said = subprocess.check_output([sys.executable, "-c", code], env=env, text=True)
    assert said.split() == ["http", "http://marquez.marquez:5000", "Bearer", "..."]


def test_variables_of_a_step(tmp_path: Path) -> None:
    # KFP reads a component's source from its file.
    (tmp_path / "looking_docs.py").write_text(VARIABLES)
    code = (
        "import looking_docs; from kfp import compiler;"
        "compiler.Compiler().compile(looking_docs.looking, 'looking.yaml')"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True)
    pipeline, platform = yaml.safe_load_all(Path("looking.yaml").read_text())
    container: dict[str, Any] = pipeline["deploymentSpec"]["executors"]["exec-look"]["container"]
    assert {"name": "OPENLINEAGE_URL", "value": "https://lineage.example.com"} in container["env"]
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-look"]
    assert [one["secretName"] for one in settings["secretAsEnv"]] == ["pachyderm-auth", "openlineage"]
    assert compiler is not None
