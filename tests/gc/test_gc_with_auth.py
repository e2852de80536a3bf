"""`kfp-pachyderm gc` with auth on: by a robot with the roles that docs/gc.md names, and with less."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_pachyderm.cli import main
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from tests.embedded.embedded_auth import ROOT, Office
from tests.embedded.embedded_auth import server as guarded
from tests.faults.fault_pachd import FaultyPachd
from tests.launcher.launcher_steps import Runner
from tests.waiting import wait_for

WRITE = "import boto3; boto3.client('s3').put_object(Bucket='out', Key='a', Body=b'result')"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with guarded(tmp_path / "data", "--auth", KFP_PACHYDERM_ROOT_TOKEN=ROOT) as address:
        yield address


@pytest.fixture
def pachd(server: str) -> Iterator[Pachd]:
    with connect(replace(parse(server), token=ROOT)) as one:
        yield one


def test_least_rights_and_a_step_that_claims_meanwhile(step: Runner) -> None:
    step.fill()
    office = Office(step.address)
    token, robot = office.robot(default="projectWriter", **{f"default/in-{step.name}": "repoWriter"})
    env = {"KFP_PACHYDERM_TOKEN": token}
    assert step.end(step.start("raise SystemExit(3)", env=env)).code == 3
    own, collector = office.robot()
    output, given = f"default/{step.name}", f"default/in-{step.name}"

    def gc(address: str = step.address) -> Any:
        arguments = ["gc", "--address", address, "--older-than", "0s", "--yes"]
        return CliRunner().invoke(main, arguments, env={"KFP_PACHYDERM_TOKEN": own})

    blind = gc()
    assert (blind.exit_code, blind.output.count("needs permissions [PIPELINE_LIST_JOB]")) == (1, 2)
    for role, missing in (("repoReader", "REPO_CREATE_BRANCH"), ("repoWriter", "REPO_DELETE")):
        office.bind(collector.robot_name, output, role)
        refused = gc()
        assert (refused.exit_code, f"needs permissions [{missing}]" in refused.output) == (1, True)
        assert not step.pipeline().stopped
    office.bind(collector.robot_name, output, "repoOwner")
    office.bind(collector.robot_name, given, "repoWriter")
    said, started = list[str](), list[Any]()

    def claim() -> None:
        started.append(step.start(WRITE, env=env))
        threading.Thread(target=lambda: said.extend(started[0].stderr)).start()
        wait_for(lambda: any("waiting for it to end" in one for one in said))

    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.before("DeletePipeline", claim)
        done = gc(f"grpc://{proxy.address}")
        assert (started[0].wait(), done.exit_code) == (0, 0), (said, done.output)
    assert "trying again" in "".join(said)
    office.bind(collector.robot_name, output, "repoWriter")
    asleep = gc()
    assert (asleep.exit_code, step.pipeline().details.autoscaling) == (0, True), asleep.output
    assert step.end(step.start(WRITE, env=env)).code == 0
    assert robot.robot_name != collector.robot_name
