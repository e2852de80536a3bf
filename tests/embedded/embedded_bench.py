"""A client of the embedded Pachyderm for the room's tests."""

from __future__ import annotations

import json
import os
from typing import Any

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from tests.waiting import PATIENCE

#: Whether the room's tests run with auth on.
AUTH = bool(os.environ.get("KFP_PACHYDERM_TEST_AUTH"))
without_auth = pytest.mark.skipif(AUTH, reason="tests what is so with auth off only")


class Bench:
    """A client with short forms of the calls that most tests make, in one project."""

    def __init__(self, address: str, project: str) -> None:
        self.address = address
        self.client = Client.from_pachd_address(address)
        self.project = pfs.Project(name=project)
        if not self.client.pfs.project_exists(self.project):
            self.client.pfs.create_project(project=self.project)

    def repo(self, name: str) -> pfs.Repo:
        return pfs.Repo(name=name, type="user", project=self.project)

    def branch(self, repo: str, name: str = "master") -> pfs.Branch:
        return pfs.Branch(repo=self.repo(repo), name=name)

    def commit(self, repo: str, commit_id: str) -> pfs.Commit:
        return pfs.Commit(repo=self.repo(repo), id=commit_id)

    def put(self, repo: str, files: dict[str, bytes], branch: str = "master") -> pfs.Commit:
        """Makes a finished commit, and the repo when missing."""
        if not self.client.pfs.repo_exists(self.repo(repo)):
            self.client.pfs.create_repo(repo=self.repo(repo))
        with self.client.pfs.commit(branch=self.branch(repo, branch)) as commit:
            for path, data in files.items():
                commit.put_file_from_bytes(path=path, data=data)
        return self.commit(repo, commit.id)

    def paths(self, commit: pfs.Commit) -> list[str]:
        found = self.client.pfs.walk_file(file=pfs.File(commit=commit, path="/"))
        return [one.file.path for one in found if one.file_type == pfs.FileType.FILE]

    def read(self, commit: pfs.Commit, path: str) -> bytes:
        return b"".join(
            one.value for one in self.client.pfs.get_file(file=pfs.File(commit=commit, path=path))
        )

    def pipeline(self, name: str) -> pps.Pipeline:
        return pps.Pipeline(name=name, project=self.project)

    def create(
        self, name: str, code: str, inputs: dict[str, Any] | None, update: bool = False, **spec: Any
    ) -> None:
        """Makes a pipeline with Python user code; `inputs` None: S3 input `images`, on a claim branch."""
        branch = f"kfp_{name}"
        s3 = {"pfs": {"repo": "images", "branch": branch, "glob": "/", "s3": True, "name": "images"}}
        transform = {"cmd": ["python3", "-c", code], **spec.pop("transform", {})}
        text = json.dumps(
            {
                "pipeline": {"name": name, "project": {"name": self.project.name}},
                "transform": transform,
                "input": inputs or s3,
                "s3Out": inputs is None,
                "datumTries": 1,
                **spec,
            }
        )
        self.client.pps.create_pipeline_v2(create_pipeline_request_json=text, update=update)

    def claim(
        self, name: str, head: pfs.Commit, code: str | None = None, update: bool = True, **spec: Any
    ) -> pps.Job:
        """Moves the claim branch and makes the pipeline in one transaction, as a step; returns the job."""
        with self.client.transaction.transaction() as transaction:
            self.client.pfs.create_branch(branch=self.branch("images", f"kfp_{name}"), head=head)
            if code is not None:
                self.create(name, code, None, update, **spec)
        return self.job(name, transaction.id)

    def job(self, name: str, job_id: str) -> pps.Job:
        return pps.Job(pipeline=self.pipeline(name), id=job_id)

    def ended(self, job: pps.Job) -> pps.JobInfo:
        return self.client.pps.inspect_job(job=job, wait=True, details=True)

    def log(self, job: pps.Job) -> list[str]:
        return [one.message for one in self.client.pps.get_logs(job=job) if one.user]

    def local_call(self, method: str, request: dict[str, Any]) -> Any:
        """Makes one of the calls that only the embedded Pachyderm has."""
        with grpc.insecure_channel(self.address.removeprefix("grpc://")) as channel:
            call = channel.unary_unary(f"/kfp_pachyderm.embedded.{method}")
            token = os.environ.get("PACH_PYTHON_AUTH_TOKEN")
            metadata = (("authn-token", token),) if token else ()
            return json.loads(call(json.dumps(request).encode(), timeout=PATIENCE, metadata=metadata))
