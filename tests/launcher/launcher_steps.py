"""Real steps: the launcher as a process against an embedded Pachyderm, small Python programs as user code."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kfp_pachyderm.errors import NotFoundError
from kfp_pachyderm.launcher.config import InputConfig, StepConfig, dumps
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.references import Reference, commit_message, repo_message
from kfp_pachyderm.pachd.sdk import pfs, pps
from tests.waiting import PATIENCE

numbers = itertools.count(1)
#: Seconds that heartbeats keep on a busy machine, too; after a third of it one meets what is new.
LEASE = 6.0


def put(
    pachd: Pachd, repo: str, contents: dict[str, bytes], project: str = "default", branch: str = "master"
) -> str:
    message = repo_message(project, repo)
    try:
        pachd.pfs.inspect_repo(repo=message)
    except NotFoundError:
        pachd.pfs.create_repo(repo=message)
    commit = pachd.pfs.start_commit(branch=pfs.Branch(repo=message, name=branch))
    added = [
        pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{name}", raw=data))
        for name, data in contents.items()
    ]
    pachd.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=commit), *added]))
    pachd.pfs.finish_commit(commit=commit)
    return str(commit.id)


def files(pachd: Pachd, project: str, repo: str, version: str) -> dict[str, int]:
    commit = commit_message(Reference(project, repo, version))
    found = pachd.pfs.walk_file(file=pfs.File(commit=commit, path="/"))
    return {one.file.path: one.size_bytes for one in found if one.file_type == pfs.FileType.FILE}


@dataclass
class Ended:
    code: int
    out: str
    err: str
    folder: Path

    @property
    def job(self) -> str:
        """The last one: a step whose job was lost before its command began has made another."""
        lines = [line for line in self.out.splitlines() if line.startswith("[kfp-pachyderm] job=")]
        return lines[-1].split("job=")[1].split()[0]

    def output(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "executor_output.json").read_text()))


@dataclass
class Runner:
    """Starts steps; each has its own pipeline, made of a repo with one file."""

    address: str
    pachd: Pachd
    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    name: str = field(default_factory=lambda: f"step{next(numbers)}")
    #: "executor_output.json" as kfp.local has it, "output_metadata.json" as KFP's backend.
    output_file: str = "executor_output.json"

    def config(self, **fields: Any) -> StepConfig:
        config = StepConfig(component=self.name, inputs=(InputConfig("images", f"in-{self.name}"),))
        return replace(config, **{"timeout": PATIENCE, **fields})

    def fill(self, **contents: bytes) -> str:
        return put(self.pachd, f"in-{self.name}", contents or {"a": b"A"})

    def executor_input(self, **parameters: Any) -> str:
        root = self.folder
        return json.dumps(
            {
                "inputs": {"parameterValues": parameters},
                "outputs": {
                    "parameters": {"commit": {"outputFile": str(root / "commit")}},
                    "artifacts": {
                        "pachyderm": {"artifacts": [{"name": "pachyderm", "uri": str(root / "pachyderm")}]}
                    },
                    "outputFile": str(root / self.output_file),
                },
            }
        )

    def start(
        self,
        code: str,
        config: StepConfig | None = None,
        env: dict[str, str] | None = None,
        **parameters: Any,
    ) -> subprocess.Popen[str]:
        argv = [dumps(config or self.config()), "--executor-input", self.executor_input(**parameters), "--"]
        process = subprocess.Popen(
            [sys.executable, "-m", "kfp_pachyderm.launcher", *argv, sys.executable, "-u", "-c", code],
            env={**os.environ, "KFP_PACHYDERM_ADDRESS": self.address, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def end(self, process: subprocess.Popen[str], timeout: float = PATIENCE) -> Ended:
        out, err = process.communicate(timeout=timeout)
        print(out, err)
        return Ended(process.returncode, out, err, self.folder)

    def kill_all(self) -> None:
        """Leaves no step behind that a test did not wait for."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()

    def iteration(self, salt: str) -> Runner:
        """The same KFP task again, as an iteration of a loop that KFP's backend runs."""
        folder = self.folder.parent / "run-id" / self.name / salt
        folder.mkdir(parents=True)
        return replace(self, folder=folder, output_file="output_metadata.json")

    def run(self, code: str, config: StepConfig | None = None, **parameters: Any) -> Ended:
        return self.end(self.start(code, config, **parameters))

    def job(self, ended: Ended | str) -> pps.JobInfo:
        job = ended if isinstance(ended, str) else ended.job
        return self.pachd.pps.inspect_job(job=ClaimedJob("default", self.name, job).message())

    def pipeline(self) -> pps.PipelineInfo:
        pipeline = pps.Pipeline(project=pfs.Project(name="default"), name=self.name)
        return self.pachd.pps.inspect_pipeline(pipeline=pipeline, details=True)

    def ended_job(self, job: str) -> pps.JobInfo:
        return self.pachd.patient(PATIENCE).pps.inspect_job(
            job=ClaimedJob("default", self.name, job).message(), wait=True
        )

    def jobs(self) -> list[pps.JobInfo]:
        pipeline = pps.Pipeline(project=pfs.Project(name="default"), name=self.name)
        try:
            return list(self.pachd.pps.list_job(pipeline=pipeline, history=-1))
        except NotFoundError:
            return []
