"""An embedded Pachyderm with auth on, and the robots, repos and pipelines that tests make on it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import auth, pfs, pps

from tests.waiting import PATIENCE

ROOT = "iamroot"
DEFAULT = auth.Resource(type=auth.ResourceType.PROJECT, name="default")
CLUSTER = auth.Resource(type=auth.ResourceType.CLUSTER)
_numbers = itertools.count()


@contextmanager
def server(folder: Path, *arguments: str, **env: str) -> Iterator[str]:
    """Runs a server and yields its address."""
    command = [sys.executable, "-m", "kfp_pachyderm.embedded", "--data-dir", str(folder), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | env)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["address"]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


class Office:
    """Root's client, and what root makes for a test: robots, role bindings, repos."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.root = self.as_token(ROOT)

    def as_token(self, token: str | None) -> Client:
        return Client.from_pachd_address(self.address, auth_token=token)

    def robot(self, **roles: str) -> tuple[str, Client]:
        """Makes a robot; returns its token and client. `roles`: repo or project → the robot's role on it."""
        name = f"robot{next(_numbers)}"
        for resource, role in roles.items():
            self.bind(name, resource, role)
        token = self.root.auth.get_robot_token(robot=name).token
        client = self.as_token(token)
        client.robot_name = f"robot:{name}"
        return token, client

    def bind(self, name: str, resource: str, *roles: str) -> None:
        kind = auth.ResourceType.REPO if "/" in resource else auth.ResourceType.PROJECT
        one = auth.Resource(type=kind, name=resource)
        principal = name if ":" in name else f"robot:{name}"
        self.root.auth.modify_role_binding(resource=one, principal=principal, roles=list(roles))

    def repo(self, files: dict[str, bytes] | None = None, project: str = "default") -> pfs.Repo:
        """Makes a repo, as root, with one finished commit."""
        repo = pfs.Repo(name=f"repo{next(_numbers)}", type="user", project=pfs.Project(name=project))
        self.root.pfs.create_repo(repo=repo)
        with self.root.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
            for path, data in (files or {"/a": b"A"}).items():
                commit.put_file_from_bytes(path=path, data=data)
        return repo

    def pipeline(self, client: Client, repo: pfs.Repo, code: str, **fields: object) -> pps.Pipeline:
        """Makes a pipeline with one S3 input, as `client`."""
        name = f"pipe{next(_numbers)}"
        spec = {
            "pipeline": {"project": {"name": "default"}, "name": name},
            "transform": {"cmd": ["python3", "-c", code], "image": "none"},
            "input": {"pfs": {"repo": repo.name, "name": "images", "glob": "/", "s3": True}},
            "s3_out": True,
            "datum_tries": 1,
            **fields,
        }
        client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
        return pps.Pipeline(project=pfs.Project(name="default"), name=name)


def answered(call: Callable[[], Any]) -> Any:
    """Makes a call and returns its answer; of a stream all messages."""
    answer = call()
    return answer if hasattr(answer, "to_json") else list(answer)


def refused(call: Callable[[], Any], text: str, code: str = "PERMISSION_DENIED") -> None:
    """Asserts that a call is refused with this code and text."""
    with pytest.raises(grpc.RpcError) as caught:
        answered(call)
    assert (caught.value.code().name, text in caught.value.details()) == (code, True), caught.value.details()
