"""What real steps tell a real HTTP server."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from lineage_server import LineageServer, lineage_server  # type: ignore[import-not-found]
from schemas import check  # type: ignore[import-not-found]

from tests.launcher.launcher_steps import Ended, Runner
from tests.waiting import wait_for

WRITE = """
import boto3
boto3.client("s3").put_object(Bucket="out", Key="a", Body=b"AB")
"""
#: Goes on until the test says so, so that what has come by then came while it ran.
WRITE_WHEN_TOLD = """
import os, time, boto3
while not os.path.exists("go"):
    time.sleep(0.01)
boto3.client("s3").put_object(Bucket="out", Key="a", Body=b"AB")
"""


def run(step: Runner, code: str, **env: str) -> Ended:
    return step.end(step.start(code, env=env))


def facet(event: dict[str, Any], name: str) -> Any:
    return event["run"]["facets"][name]


def test_step_that_succeeds(step: Runner, lineage: LineageServer, address: str) -> None:
    commit = step.fill(a=b"A")
    process = step.start(
        WRITE_WHEN_TOLD, env={"OPENLINEAGE_URL": lineage.url, "OPENLINEAGE_API_KEY": "the-key"}
    )
    wait_for(lambda: lineage.events, "the event START while the command runs")
    Path("go").touch()
    ended = step.end(process)

    assert ended.code == 0
    wait_for(lambda: len(lineage.events) == 2, "the event COMPLETE")
    assert lineage.types() == ["START", "COMPLETE"]
    assert set(lineage.keys) == {"Bearer the-key"}
    start, complete = lineage.events
    for event in lineage.events:
        check(event)
        assert event["run"]["runId"] == str(uuid.UUID(ended.job))
        pipeline = re.fullmatch(r"\d+", event["job"]["name"].partition(".")[0])
        assert pipeline
        assert event["job"]["name"] == f"{pipeline[0]}.{step.name}"
        parent = facet(event, "parent")
        assert parent["job"] == parent["root"]["job"]
        assert (parent["job"]["name"], parent["job"]["namespace"]) == (pipeline[0], event["job"]["namespace"])
        assert parent["run"]["runId"] == parent["root"]["run"]["runId"] != event["run"]["runId"]
        (read,), (written,) = event["inputs"], event["outputs"]
        store = "pachyderm://" + address.partition("://")[2]
        assert (read["namespace"], read["name"]) == (store, f"default/in-{step.name}")
        assert read["facets"]["version"]["datasetVersion"] == commit
        assert (written["namespace"], written["name"]) == (store, f"default/{step.name}")
        assert written["facets"]["version"]["datasetVersion"] == ended.job
    assert not start["outputs"][0]["outputFacets"]
    statistics = complete["outputs"][0]["outputFacets"]["outputStatistics"]
    assert (statistics["size"], statistics["fileCount"]) == (2, 1)
    assert "the-key" not in f"{lineage.events}{ended.out}{ended.err}"


def test_step_whose_command_fails(step: Runner, lineage: LineageServer) -> None:
    step.fill()
    ended = run(step, "raise SystemExit(7)", OPENLINEAGE_URL=lineage.url, OPENLINEAGE_NAMESPACE="team-a")
    assert ended.code == 7
    wait_for(lambda: len(lineage.events) == 2, "the event FAIL")
    assert lineage.types() == ["START", "FAIL"]
    check(lineage.events[1])
    assert facet(lineage.events[1], "errorMessage")["message"] == "the step's command ended with exit code 7"
    assert lineage.events[1]["job"]["namespace"] == "team-a"


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGTERM, "the step got SIGTERM"), (signal.SIGKILL, "the launcher was killed")],
)
def test_step_that_is_ended(step: Runner, lineage: LineageServer, number: int, reason: str) -> None:
    step.fill()
    process = step.start("import time; print('runs'); time.sleep(3600)", env={"OPENLINEAGE_URL": lineage.url})
    assert process.stdout
    wait_for(lambda: "runs" in process.stdout.readline(), "the command")
    process.send_signal(number)
    step.end(process)
    wait_for(lambda: len(lineage.events) == 2, "the event ABORT")
    assert lineage.types() == ["START", "ABORT"]
    check(lineage.events[1])
    assert facet(lineage.events[1], "errorMessage")["message"] == reason


def test_step_whose_job_somebody_stops(step: Runner, lineage: LineageServer) -> None:
    step.fill()
    process = step.start("import time; print('runs'); time.sleep(3600)", env={"OPENLINEAGE_URL": lineage.url})
    assert process.stdout
    lines: list[str] = []
    wait_for(lambda: lines.append(process.stdout.readline()) or "runs" in lines[-1], "the command")
    (job,) = step.jobs()
    step.pachd.pps.stop_job(job=job.job, reason="not wanted")
    assert step.end(process).code == 1
    wait_for(lambda: len(lineage.events) == 2, "the event ABORT")
    assert lineage.types() == ["START", "ABORT"]
    assert "not wanted" in facet(lineage.events[1], "errorMessage")["message"]


def test_server_that_hangs_holds_up_no_step(step: Runner) -> None:
    step.fill()
    with lineage_server(hangs=True) as server:
        # It answers nothing before the step has ended.
        ended = run(step, WRITE, OPENLINEAGE_URL=server.url)
        assert server.types() == ["START"]
    assert ended.code == 0
    assert "OpenLineage: the last events are not sent yet" in ended.err


def test_key_of_the_launcher_is_not_sent_even_if_the_configuration_asks(
    step: Runner, lineage: LineageServer
) -> None:
    step.fill()
    asked = '["KFP_PACHYDERM_TOKEN", "SHOWN"]'
    env = {
        "OPENLINEAGE__FACETS__ENVIRONMENT_VARIABLES": asked,
        "KFP_PACHYDERM_TOKEN": "secret",
        "SHOWN": "yes",
    }
    assert run(step, WRITE, OPENLINEAGE_URL=lineage.url, **env).code == 0
    wait_for(lambda: len(lineage.events) == 2, "both events")
    assert "secret" not in str(lineage.events)
    (shown,) = facet(lineage.events[0], "environmentVariables")["environmentVariables"]
    assert (shown["name"], shown["value"]) == ("SHOWN", "yes")


def test_nothing_is_sent_when_it_is_disabled(step: Runner, lineage: LineageServer) -> None:
    step.fill()
    ended = run(step, WRITE, OPENLINEAGE_URL=lineage.url, OPENLINEAGE_DISABLED="True")
    assert ended.code == 0
    assert "OpenLineage" not in ended.err
    assert lineage.events == []


def test_nothing_is_loaded_where_nobody_configured_it() -> None:
    code = (
        "import sys, kfp_pachyderm.launcher.lifecycle; print([m for m in sys.modules if 'openlineage' in m])"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert loaded.strip() == "['kfp_pachyderm.openlineage', 'kfp_pachyderm.openlineage.configured']"
