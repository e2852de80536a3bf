"""`task_config_passthroughs` and `dsl.TaskConfig`, wrapped."""

from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler, dsl, kubernetes

import kfp_pachyderm as pachyderm
from kfp_pachyderm.launcher import config as configs

if not hasattr(dsl, "TaskConfig"):
    pytest.skip("kfp 2.14 has no dsl.TaskConfig", allow_module_level=True)

FIELD = dsl.TaskConfigField
CONNECTION = pachyderm.Connection("grpcs://pachd:30650", token_secret="token/token", ca_secret="ca/pem")
ENV_ON_TASK = dsl.TaskConfigPassthrough(FIELD.ENV, apply_to_task=True)
VOLUMES_ON_TASK = dsl.TaskConfigPassthrough(FIELD.KUBERNETES_VOLUMES, apply_to_task=True)


def plain(passthroughs: Iterable[Any]) -> Any:
    @dsl.component(base_image="python:3.11", task_config_passthroughs=list(passthroughs))
    def train(settings: dsl.TaskConfig):
        print(settings)

    return train


def compiled(passthroughs: Iterable[Any], folder: Any, *settle: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pipeline's spec, and the Kubernetes settings by executor."""
    step = pachyderm.s3_enabled(plain(passthroughs), inputs=[pachyderm.S3Input("images")])

    @dsl.pipeline(name="run")
    @pachyderm.pipeline(connection=CONNECTION)
    def run():
        task = step()
        for change in settle:
            change(task)

    compiler.Compiler().compile(run, str(folder / "run.yaml"))
    spec, platform = yaml.safe_load_all((folder / "run.yaml").read_text())
    return spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def config_of(spec: dict[str, Any], task: str) -> Any:
    command = spec["deploymentSpec"]["executors"][f"exec-{task}"]["container"]["command"]
    return configs.loads(command[command.index("--executor-input") - 1])


@pytest.mark.parametrize(
    ("asked", "others", "env"),
    [
        ([FIELD.RESOURCES], [{"field": "RESOURCES"}], ""),
        ([FIELD.ENV], [], "handed"),
        ([FIELD.RESOURCES, ENV_ON_TASK], [{"field": "RESOURCES"}], "shared"),
        ([FIELD.KUBERNETES_VOLUMES], [{"field": "KUBERNETES_VOLUMES"}], ""),
        ([FIELD.ENV, VOLUMES_ON_TASK], [{"applyToTask": True, "field": "KUBERNETES_VOLUMES"}], "handed"),
    ],
)
def test_what_is_asked_for_stays_and_the_environment_is_the_steps_too(
    asked: list[Any], others: list[Any], env: str, tmp_path: Any
) -> None:
    spec, settings = compiled(asked, tmp_path)
    assert spec["components"]["comp-train"]["taskConfigPassthroughs"] == [
        *others,
        {"applyToTask": True, "field": "ENV"},
    ]
    config = config_of(spec, "train")
    assert (config.workload, config.workload_env) == (("settings",), env)
    assert set(settings["exec-train"]) == {"secretAsEnv"}
    variables = [key["envVar"] for one in settings["exec-train"]["secretAsEnv"] for key in one["keyToEnv"]]
    assert variables == ["KFP_PACHYDERM_TOKEN", "KFP_PACHYDERM_CA_TEXT"]


def test_component_alone_hands_over_the_same() -> None:
    step = pachyderm.s3_enabled(plain([FIELD.RESOURCES]), inputs=[pachyderm.S3Input("images")])
    spec = json_format.MessageToDict(step.pipeline_spec)
    wanted = [{"field": "RESOURCES"}, {"applyToTask": True, "field": "ENV"}]
    assert spec["components"]["comp-train"]["taskConfigPassthroughs"] == wanted
    assert spec["root"]["taskConfigPassthroughs"] == wanted


def test_snapshot_has_what_the_steps_own_pod_has(tmp_path: Any) -> None:
    def settle(task: Any) -> None:
        kubernetes.mount_pvc(task, pvc_name="data", mount_path="/data")
        kubernetes.add_node_selector(task, label_key="disk", label_value="ssd")
        kubernetes.set_image_pull_secrets(task, ["registry"])

    asked = [FIELD.KUBERNETES_VOLUMES, FIELD.KUBERNETES_NODE_SELECTOR]
    _, settings = compiled(asked, tmp_path, settle)
    assert set(settings["exec-train"]) == {"secretAsEnv", "pvcMount", "nodeSelector", "imagePullSecret"}
    assert set(settings["exec-pachyderm-snapshot"]) == {"secretAsEnv", "imagePullSecret"}


def test_environment_that_is_not_listed_is_refused(tmp_path: Any) -> None:
    def settle(task: Any) -> None:
        task.set_env_variable("MODE", "fast")

    with pytest.raises(pachyderm.SpecError, match=r"does not list dsl\.TaskConfigField\.ENV"):
        compiled([FIELD.RESOURCES], tmp_path, settle)
    spec, _ = compiled([FIELD.ENV], tmp_path, settle)
    container = spec["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert {"name": "MODE", "value": "fast"} in container["env"]


def test_component_without_passthroughs_is_as_before(tmp_path: Any) -> None:
    spec, settings = compiled([], tmp_path)
    assert "taskConfigPassthroughs" not in spec["components"]["comp-train"]
    assert config_of(spec, "train").workload == ()
    assert set(settings["exec-train"]) == {"secretAsEnv", "secretAsVolume"}
