"""An embedded Pachyderm, and adapters on an input and an open output commit of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from adapter_steps import ACCESS, INPUT_FILES, SECRET, Pachyderm, Step, set_environment
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.control.process import AdapterProcess
from kfp_pachyderm.embedded.process import start
from tests.waiting import PATIENCE


@pytest.fixture(scope="session")
def pachyderm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pachyderm]:
    with start(tmp_path_factory.mktemp("pachyderm")) as server:
        host, port = server.address.removeprefix("grpc://").split(":")
        client = Client(host=host, port=int(port))
        repo = pfs.Repo(name="images", type="user", project=pfs.Project(name="default"))
        client.pfs.create_repo(repo=repo)
        with client.pfs.commit(branch=pfs.Branch(name="master", repo=repo)) as commit:
            for path, content in INPUT_FILES.items():
                commit.put_file_from_bytes(path=path, data=content)
        commit.wait()
        yield Pachyderm(server.address, client, ("default", "images", commit.id))


@pytest.fixture(scope="session")
def new_step(pachyderm: Pachyderm, tmp_path_factory: pytest.TempPathFactory) -> Any:
    @contextmanager
    def made(**changes: Any) -> Iterator[Step]:
        commit = pachyderm.open_commit()
        settings = {
            "sidecar": pachyderm.address,
            "pachd": pachyderm.address,
            "token": "",
            "inputs": {"images": pachyderm.input},
            "output": ("default", commit.repo.name, commit.id),
            "aliases": {"edges": "out", "photos": "images"},
            "access_key": ACCESS,
            "secret_key": SECRET,
            "spool": str(tmp_path_factory.mktemp("spool")),
        } | changes
        config = AdapterConfig(**settings)
        with AdapterProcess() as process:
            endpoint = process.configure(config, time.monotonic() + PATIENCE)
            yield Step(process, endpoint, commit, config)

    return made


@pytest.fixture
def step(new_step: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Step]:
    """A step's adapter, and the environment that its user code would have."""
    with new_step() as made:
        set_environment(monkeypatch, made)
        yield made


@pytest.fixture
def s3(step: Step) -> Iterator[Any]:
    client = boto3.client("s3")
    yield client
    client.close()
