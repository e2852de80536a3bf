"""Wrapped components that are compiled alone and loaded again are steps like others in a pipeline."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kfp
import pytest
from google.protobuf import json_format
from kfp import compiler, components, dsl

import kfp_pachyderm as pachyderm
from kfp_pachyderm.errors import SpecError
from kfp_pachyderm.launcher.config import COMPILED_VARIABLE, VERSION

COMMIT = "default/images@" + "0" * 32
ADDRESS = "grpc://pachd.example.com:30650"
REUSABLE = Path(__file__).parents[2] / "components" / "repo" / "get" / "component.yaml"
VARIABLES = ("KFP_PACHYDERM_PACKAGE", "KFP_PACHYDERM_ADDRESS")

Load = Callable[..., Any]


@dsl.component(base_image="python:3.11")
def count(label: str = "") -> int:
    return len(label)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def of(connection: pachyderm.Connection | None = None, replace: tuple[str, str] = ("", "")) -> Any:
        wrapped = pachyderm.s3_enabled(count, inputs=[pachyderm.S3Input("images")], connection=connection)
        text = tmp_path / "count.yaml"
        compiler.Compiler().compile(wrapped, str(text))
        return components.load_component_from_text(text.read_text().replace(*replace))

    return of


def pipeline(make_tasks: Callable[[], Any], connection: pachyderm.Connection | None = None) -> Any:
    @dsl.pipeline(name="run")
    @pachyderm.pipeline(connection=connection)
    def run() -> None:
        make_tasks()

    return run


def task(made: Any, name: str = "count") -> Any:
    return json_format.MessageToDict(made.pipeline_spec)["root"]["dag"]["tasks"][name]


def environment(made: Any) -> dict[str, str]:
    spec = json_format.MessageToDict(made.pipeline_spec)["deploymentSpec"]
    found = {one["name"]: one["value"] for one in spec["executors"]["exec-count"]["container"]["env"]}
    assert f'"kfp":"{kfp.__version__}"' in found.pop(COMPILED_VARIABLE)
    return found


def settings(made: Any) -> Any:
    spec = json_format.MessageToDict(made.platform_spec)["platforms"]
    return spec["kubernetes"]["deploymentSpec"]["executors"]["exec-count"]


def test_its_output_is_the_originals(load: Load) -> None:
    loaded = load()

    def run() -> None:
        first = loaded(label="a")
        assert list(first.outputs) == ["Output"]
        with dsl.ParallelFor([1, 2]) as item:
            loaded(label=f"{item}{first.output}", images=first.outputs["commit"])

    assert task(pipeline(run), "for-loop-2")["inputs"]["parameters"].keys() == {
        "pipelinechannel--count-Output",
        "pipelinechannel--count-commit",
    }


def test_its_results_are_taken_from_the_cache_for_commits_only(load: Load) -> None:
    loaded = load()
    assert task(pipeline(lambda: loaded(images="images@master"))).get("cachingOptions", {}) == {}
    assert task(pipeline(lambda: loaded(images=COMMIT)))["cachingOptions"] == {"enableCache": True}


def test_it_has_the_launcher_of_the_release_that_compiles(load: Load) -> None:
    assert environment(pipeline(load())) == {VARIABLES[0]: f"kfp-pachyderm=={pachyderm.__version__}"}


def test_it_keeps_the_launcher_and_the_environment_of_its_text(load: Load) -> None:
    loaded = load(pachyderm.Connection(package="kfp-pachyderm==0.0.1"))
    made = pipeline(lambda: loaded().set_env_variable("MODE", "fast"))
    assert environment(made) == {VARIABLES[0]: "kfp-pachyderm==0.0.1", "MODE": "fast"}


def test_it_has_the_way_to_pachyderm_of_the_namespace(load: Load) -> None:
    assert "kfp-pachyderm" in str(settings(pipeline(load())))


def test_it_has_the_pipelines_connection(load: Load) -> None:
    made = pipeline(load(), pachyderm.Connection(ADDRESS, token_secret="mine"))
    assert environment(made)[VARIABLES[1]] == ADDRESS
    assert [one["secretName"] for one in settings(made)["secretAsEnv"]] == ["mine"]


def test_it_has_the_token_of_the_address_in_its_text(load: Load) -> None:
    loaded = load(pachyderm.Connection(ADDRESS))
    made = pipeline(loaded, pachyderm.Connection(ADDRESS, token_secret="mine"))
    assert [one["secretName"] for one in settings(made)["secretAsEnv"]] == ["mine"]


@pytest.mark.parametrize("other", [None, pachyderm.Connection("grpc://else:1", token_secret="mine")])
def test_another_servers_token_is_not_for_the_address_in_its_text(load: Load, other: Any) -> None:
    made = pipeline(load(pachyderm.Connection(ADDRESS)), other)
    assert json_format.MessageToDict(made.platform_spec) == {}


def test_a_reusable_component_is_none_of_them() -> None:
    made = components.load_component_from_file(str(REUSABLE))
    seen = []

    def run() -> None:
        seen.append(made(commit="images@master"))

    assert json_format.MessageToDict(pipeline(run).platform_spec) == {}
    assert type(seen[0]) is dsl.PipelineTask


@pytest.mark.parametrize("text", ["kfp_pachyderm.launcher", "{}", '{"kind": "step"}', "[]", "1"])
def test_what_only_looks_like_a_step_is_none(text: str) -> None:
    @dsl.container_component
    def looks():
        return dsl.ContainerSpec("alpine", ["kfp_pachyderm.launcher", text])

    pipeline(looks)


def test_another_releases_component_is_refused(load: Load) -> None:
    version = json.dumps({"version": VERSION}, separators=(",", ":"))[1:-1]
    loaded = load(replace=(version, version.replace(str(VERSION), "0")))
    with pytest.raises(SpecError, match='"count" was made S3-enabled by another release'):
        pipeline(loaded)
