"""Helpers of the adapter's tests: an embedded Pachyderm with an input, and steps on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.control.process import AdapterProcess
from tests.waiting import PATIENCE

ACCESS, SECRET = "step-access", "step-secret"
INPUT_FILES = {
    "/a.txt": b"hello one",
    "/empty": b"",
    "/dir/b.bin": bytes(range(256)) * 40,
    "/dir/sub/c.json": b'{"x": 1}',
    "/dir/sub/d.json": b'{"x": 2}',
    "/with space.txt": b"sp",
    "/big.bin": os.urandom(9 * 2**20 + 17),
}


@dataclass
class Pachyderm:
    address: str
    client: Client
    input: tuple[str, str, str]
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    def open_commit(self) -> pfs.Commit:
        name = f"out{next(self._numbers)}"
        repo = pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))
        self.client.pfs.create_repo(repo=repo)
        return self.client.pfs.start_commit(branch=pfs.Branch(name="master", repo=repo))

    def files(self, commit: pfs.Commit) -> dict[str, bytes]:
        infos = self.client.pfs.walk_file(file=pfs.File(commit=commit, path="/"))
        paths = [info.file.path for info in infos if info.file_type == pfs.FileType.FILE]
        return {path: self.read(commit, path) for path in paths}

    def read(self, commit: pfs.Commit, path: str) -> bytes:
        with self.client.pfs.pfs_file(pfs.File(commit=commit, path=path)) as file:
            return file.read()


@dataclass
class Step:
    process: AdapterProcess
    endpoint: str
    commit: pfs.Commit
    config: AdapterConfig

    @property
    def host(self) -> str:
        return self.endpoint.removeprefix("http://")

    def peak_memory(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def flush(self) -> Any:
        return self.process.flush(PATIENCE)


def set_environment(monkeypatch: pytest.MonkeyPatch, made: Step) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
