"""Compiled YAML equals its golden, loads again, and does not depend on the process."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kfp
import pytest
import yaml
from golden_files import SAMPLES, SOURCES, compile_to, function_of, golden_of, load, name_of
from kfp import components

import kfp_pachyderm
from kfp_pachyderm.authoring.git_source import SOURCE_VARIABLE
from kfp_pachyderm.authoring.ir import launcher_command
from kfp_pachyderm.launcher.bootstrap import GUARD, PACKAGE_VARIABLE
from kfp_pachyderm.launcher.config import InputConfig, StepConfig
from tests.long import long
from tests.waiting import PATIENCE

#: SHA-256 of the launcher's part of one command.
LAUNCHERS_PART = "a78337bc5265437c25c8e97393fda8d3a4c34dba4d04cfc26acd26384cb92b60"

GOLDEN_KFP = "2.17"
pytestmark = pytest.mark.skipif(
    not kfp.__version__.startswith(f"{GOLDEN_KFP}."), reason=f"the goldens are those of kfp {GOLDEN_KFP}"
)
#: The sources that every run of the tests loads; @long tests load all.
LOADED = {"control_flow", "nested", "sample_edges", "fan_in"}
each_source = pytest.mark.parametrize("source", SOURCES, ids=name_of)


def masked(text: str) -> str:
    """Returns the text without the versions of this package and kfp, and without digests that hold them."""
    text = re.sub(r"kfp(-pachyderm)?==[0-9.a-z]+", r"kfp\1==X", text)
    text = re.sub(r'"kfp":"[0-9.a-z]+"', '"kfp":"X"', text)
    text = re.sub(r"sdkVersion: kfp-\S+", "sdkVersion: kfp-X", text)
    if f"sdkVersion: kfp-{kfp.__version__}" not in text:
        text = re.sub(r"sha256:[0-9a-f]{64}", "sha256:X", text)
    return text


def containers(text: str) -> dict[str, Any]:
    executors = yaml.safe_load(text.split("\n---\n")[0])["deploymentSpec"]["executors"]
    return {name: executor["container"] for name, executor in executors.items()}


@each_source
def test_compiles_to_its_golden(source: Path, tmp_path: Path) -> None:
    compile_to(source, tmp_path / "now.yaml")
    golden = golden_of(source).read_text()
    assert masked((tmp_path / "now.yaml").read_text()) == masked(golden), (
        "compiled text changed; if that is meant: python tests/authoring/regenerate.py"
    )


def test_no_golden_without_a_pipeline() -> None:
    assert {path.stem for path in golden_of(SOURCES[0]).parent.glob("*.yaml")} == {
        name_of(one) for one in SOURCES
    }
    assert set(SAMPLES.glob("*/pipeline.py")) <= set(SOURCES)


OTHER_SEED = {**os.environ, "PYTHONHASHSEED": "4711", SOURCE_VARIABLE: ""}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiles all sources in another process, with another hash seed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    command = [sys.executable, str(Path(__file__).with_name("regenerate.py")), str(folder)]
    subprocess.run(command, check=True, capture_output=True, env=OTHER_SEED, timeout=PATIENCE)
    return folder


@each_source
def test_same_bytes_in_another_process(source: Path, elsewhere: Path, tmp_path: Path) -> None:
    compile_to(source, tmp_path / "here.yaml")
    assert (elsewhere / f"{name_of(source)}.yaml").read_bytes() == (tmp_path / "here.yaml").read_bytes()


@pytest.mark.parametrize("source", [one for one in SOURCES if one.parent.name == "edges"], ids=name_of)
def test_same_bytes_by_kfps_own_command_line(source: Path, elsewhere: Path, tmp_path: Path) -> None:
    target = tmp_path / "there.yaml"
    command = [str(Path(sys.executable).with_name("kfp")), "dsl", "compile", "--py", str(source)]
    subprocess.run(
        [*command, "--output", str(target), "--function", function_of(source)],
        check=True,
        capture_output=True,
        env=OTHER_SEED,
        timeout=PATIENCE,
    )
    assert target.read_bytes() == (elsewhere / f"{name_of(source)}.yaml").read_bytes()


@pytest.mark.parametrize(
    "source",
    [pytest.param(one, marks=() if name_of(one) in LOADED else long) for one in SOURCES],
    ids=name_of,
)
def test_loads_again(source: Path) -> None:
    loaded = components.load_component_from_file(str(golden_of(source)))
    original = getattr(load(source), function_of(source))
    assert loaded.name == original.name
    assert set(loaded.component_spec.inputs or {}) == set(original.component_spec.inputs or {})


@each_source
def test_needs_nothing_from_the_laptop(source: Path) -> None:
    text = golden_of(source).read_text()
    for own in (str(Path.home()), str(Path(__file__).parents[2]), sys.prefix):
        assert own == "/root" or own not in text
    for container in containers(text).values():
        command = container["command"]
        if "--executor-input" in command:
            *before, text, config = command[: command.index("--executor-input")]
            assert before in (["python3", "-c"], ["sh", "-c", GUARD])
            for element in (text, config):
                assert not re.search(r"\{\{|\$\(|python3", element)


@pytest.mark.parametrize("name", ["with_connection", "kubernetes_settings"])
def test_holds_no_secret(name: str) -> None:
    text = (golden_of(SOURCES[0]).parent / f"{name}.yaml").read_text()
    pipeline, platform = text.split("\n---\n")
    assert "pachyderm-auth" not in pipeline
    assert "secretName: pachyderm-auth" in platform


def test_launchers_part_of_a_command_stays() -> None:
    config = StepConfig("edges", (InputConfig("images", "images"),), digest="sha256:0", image="python:3.11")
    text = "\0".join(launcher_command(config, ["sh"]))
    assert hashlib.sha256(text.encode()).hexdigest() == LAUNCHERS_PART, (
        "what stands before the user's command is in KFP's cache key, and it has changed: after this release "
        "every step that a user has cached runs once more. If that is worth it, write the new digest to "
        "LAUNCHERS_PART, say so in CHANGELOG.md, and run make golden"
    )


def test_new_version_is_in_no_cache_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KFP's key: image, command, arguments, inputs, outputs (backend/src/v2/cacheutils/cache.go)."""
    source = next(one for one in SOURCES if one.stem == "artifacts")
    # Not the golden: a component's command holds the version of the kfp that compiled it.
    compile_to(source, tmp_path / "now.yaml")
    monkeypatch.setattr(kfp_pachyderm, "__version__", "99.0")
    compile_to(source, tmp_path / "next.yaml")
    now, then = (containers((tmp_path / name).read_text()) for name in ("now.yaml", "next.yaml"))
    assert {"name": PACKAGE_VARIABLE, "value": "kfp-pachyderm==99.0"} in then["exec-train"]["env"]
    for container in (*now.values(), *then.values()):
        container.pop("env", None)
    assert then == now
