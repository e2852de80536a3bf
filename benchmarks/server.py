"""An embedded Pachyderm for measurements, with jobs that stay open as long as they are needed."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.protocol.pfs_messages import CommitName

PROJECT = "bench"
_WAIT = "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.01)"


@dataclass
class RunningJob:
    """A job whose user code waits.

    Args:
        output: its output commit.
        places: where its sidecar is, by the embedded Pachyderm's names.
    """

    output: CommitName
    places: dict[str, str]


class Server:
    """An embedded Pachyderm.

    Args:
        address: where it answers.
        folder: for the gates that its jobs wait at.
    """

    def __init__(self, address: str, folder: Path) -> None:
        from pachyderm_sdk import Client
        from pachyderm_sdk.api import pfs

        self.client = Client.from_pachd_address(address)
        self.address = address
        self._folder = folder
        self.project = pfs.Project(name=PROJECT)
        self.client.pfs.create_project(project=self.project)

    def repo(self, name: str) -> Any:
        """The repo of that name, made when missing."""
        from pachyderm_sdk.api import pfs

        repo = pfs.Repo(name=name, type="user", project=self.project)
        if not self.client.pfs.repo_exists(repo):
            self.client.pfs.create_repo(repo=repo)
        return repo

    def put(self, name: str, files: Iterator[tuple[str, bytes]]) -> CommitName:
        """One commit on master by one ModifyFile."""
        from pachyderm_sdk.api import pfs

        def requests() -> Iterator[Any]:
            yield pfs.ModifyFileRequest(set_commit=head)
            for path, data in files:
                yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=data))

        branch = pfs.Branch(repo=self.repo(name), name="master")
        head = pfs.Commit(repo=self.repo(name), branch=branch)
        self.client.pfs.modify_file(requests())
        return (PROJECT, name, self.client.pfs.inspect_branch(branch=branch).head.id)

    def create(self, name: str, code: str, source: str, **spec: Any) -> None:
        """A pipeline that runs Python `code` over the repo `source`."""
        fields = {
            "pipeline": {"name": name, "project": {"name": PROJECT}},
            "transform": {"cmd": ["python3", "-c", code]},
            "input": {"pfs": {"repo": source, "glob": "/", "s3": True, "name": "in"}},
            **spec,
        }
        self.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(fields))

    @contextlib.contextmanager
    def job(self, name: str, source: str, **spec: Any) -> Iterator[RunningJob]:
        """The job of a new pipeline; its output commit is finished when this leaves."""
        from pachyderm_sdk.api import pps

        gate = self._folder / f"{name}.gate"
        self.create(name, _WAIT.format(gate=str(gate)), source, **spec)
        pipeline = pps.Pipeline(name=name, project=self.project)
        job = next(self.client.pps.list_job(pipeline=pipeline)).job
        yield RunningJob((PROJECT, name, job.id), self._located(name, job.id))
        gate.touch()
        info = self.client.pps.inspect_job(job=job, wait=True)
        if info.state != pps.JobState.JOB_SUCCESS:
            raise RuntimeError(f"job {job.id}: {info.reason}")

    def _located(self, name: str, job: str) -> dict[str, str]:
        import grpc

        question = json.dumps({"project": PROJECT, "pipeline": name, "job": job}).encode()
        deadline = time.monotonic() + 30
        with grpc.insecure_channel(self.address.removeprefix("grpc://")) as channel:
            ask = channel.unary_unary("/kfp_pachyderm.embedded.Locator/Locate")
            while True:
                try:
                    places: dict[str, str] = json.loads(ask(question, timeout=5))
                    return places
                except grpc.RpcError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)


@contextlib.contextmanager
def started() -> Iterator[tuple[Server, int, Path]]:
    """Starts a fresh embedded Pachyderm; returns it, its process's ID and its data folder."""
    with tempfile.TemporaryDirectory() as folder, start(Path(folder) / "data") as process:
        yield Server(process.address, Path(folder)), process.pid, process.data_dir
