"""With Pachyderm's auth on and a KFP that wants a token: the roles that docs/trigger.md names, and less."""

from __future__ import annotations

import pytest
from trigger_steps import Trigger, put, started

from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect
from tests.embedded.embedded_auth import ROOT, Office, server
from tests.kfp_api import KfpApi
from tests.waiting import PATIENCE, wait_for


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with server(tmp_path_factory.mktemp("auth"), "--auth", KFP_PACHYDERM_ROOT_TOKEN=ROOT) as address:
        yield address


def test_a_reader_of_the_repo_with_a_token_for_kfp_starts_runs(guarded, package, tmp_path):
    office = Office(guarded)
    repo = office.repo().name
    token, robot = office.robot()
    (tmp_path / "token").write_text("for-kfp\n")
    env = {"KFP_PACHYDERM_TOKEN": token, "KF_PIPELINES_SA_TOKEN_PATH": str(tmp_path / "token")}
    given = [f"{repo}@master", "--package", str(package), "--parameter", "images"]
    with KfpApi(token="for-kfp") as api, connect(parse(guarded, token=ROOT)) as root:
        refused = Trigger(guarded, api.url, 60, *given, **env)
        assert refused.process.wait(PATIENCE) == 1
        wait_for(lambda: refused.said("needs permissions [REPO_INSPECT_COMMIT]"))
        refused.end()
        office.bind(robot.robot_name, f"default/{repo}", "repoReader")
        one = Trigger(guarded, api.url, 60, *given, **env)
        try:
            wait_for(lambda: one.said("follows"))
            commit = put(root, repo)
            wait_for(lambda: one.said(f"{commit}: run"))
        finally:
            assert one.end() == 0
        assert started(api) == [commit]
        assert token not in "".join(one.lines)
