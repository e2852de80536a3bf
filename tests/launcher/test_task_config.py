"""What a step hands to a workload that it starts."""

import json
from typing import Any

import pytest

from kfp_pachyderm.launcher.child.task_config import handed_over, withheld
from kfp_pachyderm.launcher.config import StepConfig, dumps, loads
from kfp_pachyderm.launcher.executor_input import parse

SETTINGS = {
    "resources": {"limits": {"cpu": "1"}},
    "volumes": None,
    "env": [
        {"name": "KFP_PACHYDERM_PACKAGE", "value": "kfp-pachyderm==1"},
        {"name": "MODE", "value": "fast"},
        {"name": "PATH", "value": "/workload/bin"},
        {"name": "KFP_PACHYDERM_TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
    ],
}
TEXT = json.dumps({"inputs": {"parameterValues": {"settings": SETTINGS, "label": "KFP_PACHYDERM_TOKEN"}}})
COMMAND = ["python3", "-m", "kfp.dsl.executor_main", "--executor_input", TEXT]


def config(env: Any) -> StepConfig:
    written = loads(dumps(StepConfig("train", workload=("settings", "unset"), workload_env=env)))
    assert isinstance(written, StepConfig)
    return written


def settings(env: Any) -> Any:
    command = handed_over(config(env), parse(TEXT), TEXT, COMMAND)
    assert command[:-1] == COMMAND[:-1]
    values = json.loads(command[-1])["inputs"]["parameterValues"]
    assert values["label"] == "KFP_PACHYDERM_TOKEN"
    return values["settings"]


@pytest.mark.parametrize("env", ["shared", "handed"])
def test_the_launchers_environment_is_not_handed_over(env: str) -> None:
    assert settings(env) == {**SETTINGS, "env": [SETTINGS["env"][1], SETTINGS["env"][2]]}  # type: ignore[index]


def test_no_environment_is_handed_over_unless_the_author_says_so() -> None:
    assert settings("") == {**SETTINGS, "env": None}


def test_what_is_the_workloads_only_is_withheld_from_the_step() -> None:
    assert withheld(config("handed"), parse(TEXT)) == {"MODE"}
    assert withheld(config("shared"), parse(TEXT)) == withheld(config(""), parse(TEXT)) == set()


def test_nothing_handed_over_leaves_the_command() -> None:
    empty = parse('{"inputs": {"parameterValues": {}}}')
    assert handed_over(config("handed"), empty, "{}", COMMAND) is COMMAND
    assert withheld(config("handed"), empty) == set()
