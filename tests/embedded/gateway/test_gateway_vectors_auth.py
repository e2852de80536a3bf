"""A job's gateway with auth on answers as a real sidecar's was recorded (see vectors/README.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from embedded_auth import ROOT, Office, server
from gateway_replay import Recording, comparable, lines
from pachyderm_sdk.api import pfs

from tests.waiting import PATIENCE, wait_for

RECORDED = lines("gateway_auth_on.jsonl")
_ROBOT = "kfp"
#: Name of a recorded request → the repo and the role on it that the robot gets before the request.
_ROLES = {
    "list_buckets robot reader(in)": ("default/ain", "repoReader"),
    "list_buckets robot reader(in)+writer(out)": ("default/ap", "repoWriter"),
}
_WAIT = "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.01)"


def _ask_locally(address: str, method: str, request: dict[str, str], token: str) -> dict[str, str]:
    with grpc.insecure_channel(address.removeprefix("grpc://")) as channel:
        call = channel.unary_unary(f"/kfp_pachyderm.embedded.{method}")
        return json.loads(
            call(json.dumps(request).encode(), metadata=[("authn-token", token)], timeout=PATIENCE)
        )


def _located(address: str, job: str) -> dict[str, str]:
    where = {"project": "default", "pipeline": "ap", "job": job}

    def ask() -> dict[str, str] | None:
        try:
            return _ask_locally(address, "Locator/Locate", where, ROOT)
        except grpc.RpcError:
            return None

    return wait_for(ask, "the job's sidecar")


class Replay:
    """A job like the recorded one."""

    def __init__(self, address: str, gate: Path) -> None:
        self.office = Office(address)
        images = pfs.Repo(name="ain", type="user", project=pfs.Project(name="default"))
        self.office.root.pfs.create_repo(repo=images)
        with self.office.root.pfs.commit(branch=pfs.Branch(repo=images, name="master")) as commit:
            commit.put_file_from_bytes(path="/a.txt", data=b"auth data")
        spec = {
            "pipeline": {"name": "ap"},
            "transform": {"cmd": ["python3", "-c", _WAIT.format(gate=str(gate))]},
            "input": {"pfs": {"repo": "ain", "glob": "/", "s3": True}},
            "s3_out": True,
        }
        self.office.root.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
        info = next(self.office.root.pps.list_job())
        self.job = info.job.id
        token = self.office.root.pps.inspect_job(job=info.job).auth_token
        robot = self.office.root.auth.get_robot_token(robot=_ROBOT).token
        self.tokens = {"<JOBTOKEN>": token, "<ROOT>": ROOT, "<ROBOT>": robot}
        self.port = int(_located(address, self.job)["sidecar_s3"].rpartition(":")[2])

    def ask(self, line: dict[str, Any]) -> dict[str, Any]:
        request, name = line["request"], line["name"]
        if name in _ROLES:
            self.office.bind(_ROBOT, *_ROLES[name])
        headers, path, secret = dict(request["headers"]), request["path"], "default"
        for written, token in self.tokens.items():
            headers = {key: value.replace(written, token) for key, value in headers.items()}
            if written in json.dumps(request["headers"]):
                secret = token
        headers["Host"] = f"127.0.0.1:{self.port}"
        body = b"x" if request["method"] == "PUT" else b""
        headers |= {"Content-Length": str(len(body))} if request["method"] != "GET" else {}
        made = Recording(request["method"], path, headers, body, "bad" if "wrong" in name else secret)
        made.sign()
        code, answered, content = made.send(self.port)
        return comparable(code, answered, content.decode(), {self.job: "JOB"})


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("auth")
    with server(folder / "data", "--auth", KFP_PACHYDERM_ROOT_TOKEN=ROOT) as address:
        replay = Replay(address, folder / "gate")
        yield {line["name"]: replay.ask(line) for line in RECORDED}
        (folder / "gate").touch()


def _recorded(line: dict[str, Any]) -> dict[str, Any]:
    response = line["response"]
    headers = {name.lower(): value for name, value in response["headers"]}
    found = re.search(r"\b[0-9a-f]{32}\b", headers.get("x-amz-version-id", ""))
    return comparable(response["status"], headers, response["body"], {found[0]: "JOB"} if found else {})


@pytest.mark.parametrize("line", [pytest.param(line, id=line["name"]) for line in RECORDED])
def test_answers_as_the_real_gateway(line: dict[str, Any], answers: dict[str, dict[str, Any]]) -> None:
    assert answers[line["name"]] == _recorded(line)
