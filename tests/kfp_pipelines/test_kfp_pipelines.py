"""KFP's own pipelines, wrapped: those that passed before (passing.txt) still pass."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compiling import sources
from twins import difference

from tests.long import long

HERE = Path(__file__).parent
#: A folder as KFP's repository has it in `test_data`.
VARIABLE = "KFP_PACHYDERM_TEST_PIPELINES"
LOCAL = "local_execution"
PASSING = (HERE / "passing.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def folder() -> Path:
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"{VARIABLE} names no folder: `test_data` of github.com/kubeflow/pipelines")
    found = Path(named)
    if not set(PASSING) & set(sources(found)):
        pytest.fail(f"{found}, which {VARIABLE} names, holds none of the files in {HERE / 'passing.txt'}")
    return found


def measured(folder: Path, *arguments: str) -> dict[str, str]:
    """File → the name of the check that failed; "passes": none did."""
    command = [sys.executable, str(HERE / "yardstick.py"), str(folder), *arguments]
    table = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    return {line[9:].split("  ")[0]: line[:8].strip() for line in table.splitlines()[:-1]}


def test_what_passed_passes(folder: Path) -> None:
    there = sorted(set(PASSING) & set(sources(folder)))
    found = measured(folder, *there)
    assert {name: column for name, column in found.items() if column != "passes"} == {}
    assert sorted(found) == there


def test_local_pipelines_give_the_same_outputs(folder: Path) -> None:
    local = [one for one in sources(folder) if f"/{LOCAL}/" in one]
    assert measured(folder, "--run", *local) == dict.fromkeys(local, "passes")


def test_every_shape_compiles_to_what_it_is_plain() -> None:
    found = measured(HERE / "shapes")
    assert len(found) == len(list(sources(HERE / "shapes")))
    assert set(found.values()) == {"passes"}


@long
def test_shapes_that_need_no_cluster_give_the_same_outputs() -> None:
    folder = HERE / "shapes" / LOCAL
    assert measured(folder, "--run") == dict.fromkeys(sources(folder), "passes")


SOURCE = """
from kfp import dsl

@dsl.component(base_image="python:3.11")
def say(word: str) -> str:
    return word

@dsl.pipeline
def run(word: str = "a") -> str:
    return say(word=word).output
"""


def test_table_tells_what_passes_from_what_does_not(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text(SOURCE.replace("word: str)", "word)"))
    # Wrapping refuses a parameter of the input's name.
    (tmp_path / "taken.py").write_text(SOURCE.replace("word", "pachinput"))
    assert measured(tmp_path) == {"broken.py": "plain", "good.py": "passes", "taken.py": "wrapped"}


def test_twins_that_differ_are_told_where(tmp_path: Path) -> None:
    for name, word in (("plain", "a"), ("wrapped", "b")):
        task = {"componentRef": {"name": "c"}, "inputs": {"parameters": {"word": word}}}
        spec = {"root": {"dag": {"tasks": {"one": task}}}, "components": {"c": {}}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps(spec))
    assert difference(tmp_path / "plain.yaml", tmp_path / "wrapped.yaml", ()) == (
        "/root/dag/tasks/one/inputs/parameters/word: 'a' became 'b'"
    )
