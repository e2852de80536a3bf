"""Runs a client's program against a real job of the embedded Pachyderm: through the adapter, or direct."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.clients.programs import driver
from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.control.process import AdapterProcess
from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.launcher.child.environment import child_environment
from kfp_pachyderm.runtime import Step

PROGRAMS = Path(__file__).parent / "programs"
CLIENTS = sorted(path.stem.removeprefix("with_") for path in PROGRAMS.glob("with_*.py"))
_PROJECT, _REPO = "default", "data"
_WAITING = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.02)"
_DEADLINE = 600.0


@dataclass
class Job:
    """A job whose user code waits until it is told to end.

    Args:
        pipeline: its pipeline.
        id: its ID, which is the output commit's, too.
        places: the addresses of its sidecar.
    """

    pipeline: str
    id: str
    places: dict[str, str]


class Bed:
    """An embedded Pachyderm with an input; a context manager.

    Args:
        folder: for its data.
        files: path → content of the input; what the programs read.
    """

    def __init__(self, folder: Path, files: Mapping[str, bytes] | None = None) -> None:
        from pachyderm_sdk import Client

        self._folder = folder
        self._stack = ExitStack()
        self.server = self._stack.enter_context(start(folder / "pachyderm"))
        self.client = Client.from_pachd_address(self.server.address)
        self.input = self._fill(files.items() if files else driver.inputs())

    def __enter__(self) -> Bed:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _fill(self, files: Iterable[tuple[str, bytes]]) -> str:
        from pachyderm_sdk.api import pfs

        repo = pfs.Repo(name=_REPO, type="user", project=pfs.Project(name=_PROJECT))
        self.client.pfs.create_repo(repo=repo)
        commit = self.client.pfs.start_commit(branch=pfs.Branch(name="master", repo=repo))
        requests = [pfs.ModifyFileRequest(set_commit=commit)]
        for path, data in files:
            for begin in range(0, max(len(data), 1), 2**20):
                piece = pfs.AddFile(path=path, raw=data[begin : begin + 2**20])
                requests.append(pfs.ModifyFileRequest(add_file=piece))
        self.client.pfs.modify_file(iter(requests))
        self.client.pfs.finish_commit(commit=commit)
        self.client.pfs.wait_commit(commit)
        return str(commit.id)

    @contextmanager
    def job(self, pipeline: str) -> Iterator[Job]:
        """A running job with the input as S3 bucket "data" and an output bucket; it succeeds at the end."""
        end = self._end_file(pipeline)
        source = {"repo": _REPO, "branch": "master", "glob": "/", "s3": True, "name": _REPO}
        spec = {
            "pipeline": {"name": pipeline, "project": {"name": _PROJECT}},
            "transform": {"cmd": ["python3", "-c", _WAITING, str(end)]},
            "input": {"pfs": source},
            "s3Out": True,
            "datumTries": 1,
        }
        self.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
        job = self._started(pipeline)
        try:
            yield job
        finally:
            self.end(job)

    def _end_file(self, pipeline: str) -> Path:
        return self._folder / f"end-{pipeline}"

    def _started(self, pipeline: str) -> Job:
        from pachyderm_sdk.api import pfs, pps

        deadline = time.monotonic() + _DEADLINE
        name = pps.Pipeline(name=pipeline, project=pfs.Project(name=_PROJECT))
        while time.monotonic() < deadline:
            for info in self.client.pps.list_job(pipeline=name, details=True):
                status = info.details.worker_status
                if any(one.datum_status and one.datum_status.started for one in status):
                    return Job(pipeline, info.job.id, self._places(pipeline, info.job.id))
            time.sleep(0.02)
        raise TimeoutError(f"the job of {pipeline} did not start its datum in {_DEADLINE:.0f} s")

    def _places(self, pipeline: str, job_id: str) -> dict[str, str]:
        import grpc

        request = json.dumps({"project": _PROJECT, "pipeline": pipeline, "job": job_id}).encode()
        with grpc.insecure_channel(self.server.address.removeprefix("grpc://")) as channel:
            call = channel.unary_unary("/kfp_pachyderm.embedded.Locator/Locate")
            places: dict[str, str] = json.loads(call(request, timeout=_DEADLINE))
        return places

    def end(self, job: Job) -> None:
        """Lets the job end, and waits until it has."""
        from pachyderm_sdk.api import pfs, pps

        self._end_file(job.pipeline).touch()
        name = pps.Pipeline(name=job.pipeline, project=pfs.Project(name=_PROJECT))
        self.client.pps.inspect_job(job=pps.Job(pipeline=name, id=job.id), wait=True)

    def hashes(self, job: Job) -> dict[str, str]:
        """SHA-256 of every file in the job's output commit."""
        from pachyderm_sdk.api import pfs

        infos = self.client.pfs.walk_file(file=pfs.File(commit=self._commit(job), path="/"))
        return {
            info.file.path[1:]: self._hash(info.file) for info in infos if info.file_type == pfs.FileType.FILE
        }

    def content(self, job: Job, key: str) -> bytes:
        """A file of the job's output commit."""
        from pachyderm_sdk.api import pfs

        file = pfs.File(commit=self._commit(job), path="/" + key)
        return b"".join(piece.value for piece in self.client.pfs.get_file(file=file))

    def _commit(self, job: Job) -> Any:
        from pachyderm_sdk.api import pfs

        repo = pfs.Repo(name=job.pipeline, type="user", project=pfs.Project(name=_PROJECT))
        return pfs.Commit(repo=repo, id=job.id)

    def _hash(self, file: Any) -> str:
        digest = hashlib.sha256()
        for piece in self.client.pfs.get_file(file=file):
            digest.update(piece.value)
        return digest.hexdigest()

    @contextmanager
    def _adapter(self, job: Job, share: str) -> Iterator[tuple[str, str, str, AdapterProcess]]:
        spool = self._folder / f"spool-{job.pipeline}"
        config = AdapterConfig(
            sidecar=job.places["sidecar_grpc"],
            pachd=self.server.address,
            token="",
            inputs={_REPO: (_PROJECT, _REPO, self.input)},
            output=(_PROJECT, job.pipeline, job.id),
            aliases={},
            access_key=secrets.token_hex(10),
            secret_key=secrets.token_hex(20),
            spool=str(spool),
            share=bool(share),
        )
        with AdapterProcess() as process:
            endpoint = process.configure(config, time.monotonic() + _DEADLINE)
            if share:
                endpoint = process.share(share, time.monotonic() + _DEADLINE)
            yield endpoint, config.access_key, config.secret_key, process

    @contextmanager
    def step(self, pipeline: str, share: str = "") -> Iterator[tuple[Job, dict[str, str]]]:
        """A job and its user's environment; what is written through the adapter is in its output commit.

        Args:
            pipeline: its name.
            share: the address that the endpoint is shared on; "": it is on 127.0.0.1 alone.
        """
        with self.job(pipeline) as job, self._adapter(job, share) as (endpoint, access, secret, process):
            yield job, self._environment(job, endpoint, access, secret)
            process.unshare(time.monotonic() + _DEADLINE)
            process.flush(_DEADLINE)

    def through_adapter(self, client: str, **variables: str) -> dict[str, str]:
        """Operation → "ok" or what went wrong, through the adapter; `variables` go to the program."""
        with self.step(f"adapter-{client}") as (job, environment):
            said = run_program(client, environment | variables)
        return verified(said, self.hashes(job))

    def direct(self, client: str, **variables: str) -> dict[str, str]:
        """The same, straight against the job's sidecar."""
        import grpc

        with self.job(f"direct-{client}") as job:
            environment = self._environment(job, job.places["sidecar_s3"], "default", "default")
            said = run_program(client, environment | variables)
        try:
            return verified(said, self.hashes(job))
        except grpc.RpcError as error:
            broken = {
                line["operation"]: f"the commit is broken: {error.details()}" for line in said if line["kept"]
            }
            return {line["operation"]: line["result"] for line in said} | broken

    def _environment(self, job: Job, endpoint: str, access: str, secret: str) -> dict[str, str]:
        step = Step(
            endpoint=endpoint,
            access_key=access,
            secret_key=secret,
            inputs={_REPO: f"{_PROJECT}/{_REPO}@{self.input}"},
            output_bucket="out",
            output_commit=f"{_PROJECT}/{job.pipeline}@{job.id}",
            project=_PROJECT,
            pipeline=job.pipeline,
            job=job.id,
        )
        return child_environment(step, job.places["sidecar_s3"], self._folder / f"import-{job.pipeline}")


def _lines(client: str, after: str, environment: dict[str, str]) -> list[dict[str, Any]]:
    command = [sys.executable, str(PROGRAMS / f"with_{client}.py"), *(["--after", after] if after else [])]
    tools = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    done = subprocess.run(
        command, env={**environment, "PATH": tools}, capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode and not lines:
        raise RuntimeError(f"{client} ended with {done.returncode}: {done.stderr[-2000:]}")
    return lines


def run_program(client: str, environment: dict[str, str]) -> list[dict[str, Any]]:
    """The program's result of each operation; an operation that does not end in time has failed."""
    last = list(driver.OPERATIONS)[-1]
    lines = _lines(client, "", environment)
    while lines[-1]["result"].startswith("not done") and lines[-1]["operation"] != last:
        more = _lines(client, lines[-1]["operation"], environment)
        if not more:
            break
        lines += more
    return lines


def verified(lines: list[dict[str, Any]], stored: dict[str, str]) -> dict[str, str]:
    """The program's results, corrected by what the output commit holds."""
    results = {}
    for line in lines:
        wrong = [key for key, digest in line["kept"].items() if stored.get(key) != digest]
        lost = [key for key in wrong if key not in stored]
        words = f"not in the commit: {lost[0]}" if lost else f"stored with other content: {wrong[:1]}"
        results[line["operation"]] = words if wrong else line["result"]
    kept = {key for line in lines for key in line["kept"]}
    unwanted = [key for key in stored if key not in kept and key.split("/")[0] in _CHECKED]
    if unwanted:
        results["nothing else in the commit"] = f"not ok: {sorted(unwanted)[:3]}"
    return results


#: Folders in which the programs choose all names; the writers of tables choose their files' names themselves.
_CHECKED = frozenset({"put", "stream", "back", "over", "delete", "many", "copy", "rename", "cond"})
