"""The component.yaml files: what the generator writes, and what KFP makes of them."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from kfp import compiler, dsl
from reusable import NAMES, ROOT, get, load, make_table, put, read_table, resolve, run  # type: ignore[import-not-found]


def generated() -> dict[Path, str]:
    spec = importlib.util.spec_from_file_location("components_generate", ROOT / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.texts()


def test_files_are_what_the_generator_writes() -> None:
    written = {path: path.read_text() for path in ROOT.rglob("component.yaml")}
    assert written == generated(), "if the change is meant: make components"
    assert {str(path.parent.relative_to(ROOT)) for path in written} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_it_takes_and_gives(name: str) -> None:
    found = yaml.safe_load((ROOT / name / "component.yaml").read_text())
    assert all(one["description"] for one in [found, *found["inputs"], *found["outputs"]])
    assert [one["name"] for one in found["outputs"]][-2:] == ["commit", "pachyderm"]
    inputs = {one["name"]: one["type"] for one in found["inputs"]}
    assert {"address": "String", "timeout": "Integer"}.items() <= inputs.items()
    assert not {one for one in inputs if re.search("token|secret|password", one)}


def test_nothing_in_the_commands_is_replaced_on_the_way() -> None:
    for name in NAMES:
        command = load(name).component_spec.implementation.container.command
        assert command[0] == "python3"
        for element in command[2:4]:
            assert not re.search(r"\{\{|\$|python3", element)


@dsl.pipeline(name="without-us")
def without_us(branch: str = "vision/images@master"):
    """A pipeline of a user who does not import kfp_pachyderm."""
    table = make_table()
    made = put(artifact=table.output, branch=branch, path="/table.csv")
    ran = run(pipeline="vision/edges", inputs={"images": made.outputs["commit"]}, timeout=600)
    back = get(commit=ran.outputs["commit"])
    read_table(table=back.outputs["artifact"])
    resolve(reference=branch).set_caching_options(False)


def test_all_of_them_compile_into_one_pipeline(tmp_path: Path) -> None:
    compiler.Compiler().compile(without_us, str(tmp_path / "whole.yaml"))
    found = yaml.safe_load((tmp_path / "whole.yaml").read_text())
    tasks = found["root"]["dag"]["tasks"]
    for name in ("run", "put", "get", "resolve"):
        assert f"pachyderm-{name}" in tasks
    inputs = tasks["pachyderm-run"]["inputs"]["parameters"]
    assert any("pachyderm-put" in str(one) for one in inputs.values())
    artifact = found["components"]["comp-pachyderm-put"]["inputDefinitions"]["artifacts"]["artifact"]
    assert artifact["artifactType"]["schemaTitle"] == "system.Artifact"
