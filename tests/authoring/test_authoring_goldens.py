"""Compiled text is kept, loads again, and is the same from run to run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import kfp
import pytest
import yaml
from golden_files import SOURCES, compile_to, function_of, golden_of, load, name_of
from kfp import components

each_source = pytest.mark.parametrize("source", SOURCES, ids=name_of)


def masked(text: str) -> str:
    """The text without KFP's version, and without the digest of a component that holds KFP's version."""
    text = re.sub(r"kfp==[0-9.a-z]+", "kfp==X", text)
    text = re.sub(r"sdkVersion: kfp-\S+", "sdkVersion: kfp-X", text)
    if f"sdkVersion: kfp-{kfp.__version__}" not in text:
        text = re.sub(r"sha256:[0-9a-f]{64}", "sha256:X", text)
    return text


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


@each_source
def test_same_bytes_in_another_process(source: Path, tmp_path: Path) -> None:
    """By KFP's own command line, with another hash seed and nothing of this process."""
    compile_to(source, tmp_path / "here.yaml")
    command = [str(Path(sys.executable).with_name("kfp")), "dsl", "compile", "--py", str(source)]
    subprocess.run(
        [*command, "--output", str(tmp_path / "there.yaml"), "--function", function_of(source)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        timeout=60,
    )
    assert (tmp_path / "there.yaml").read_bytes() == (tmp_path / "here.yaml").read_bytes()


@each_source
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
    for executor in yaml.safe_load(text.split("\n---\n")[0])["deploymentSpec"]["executors"].values():
        launcher = executor["container"]["command"][:4]
        if launcher[:2] == ["python3", "-c"]:
            for element in launcher[2:]:
                assert not re.search(r"\{\{|\$\(|python3", element)


def test_holds_no_secret() -> None:
    text = (golden_of(SOURCES[0]).parent / "with_connection.yaml").read_text()
    pipeline, platform = text.split("\n---\n")
    assert "pachyderm-auth" not in pipeline
    assert "secretName: pachyderm-auth" in platform
