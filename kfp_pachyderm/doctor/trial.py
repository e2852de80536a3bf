"""The trial: the real launcher runs a tiny job in a project of its own, which is deleted afterwards."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from kfp_pachyderm.doctor import steps, worker
from kfp_pachyderm.doctor.case import Case
from kfp_pachyderm.doctor.finding import Finding, error, not_looked, ok, warning
from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.gc.projects import TRIAL, TRIAL_PROJECT, remove_trial
from kfp_pachyderm.launcher.config import InputConfig, StepConfig, dumps
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.references import Reference, commit_message, repo_message
from kfp_pachyderm.pachd.sdk import pfs
from kfp_pachyderm.private_folders import DOCTOR

_PIPELINE, _REPO = "trial", "input"
#: The step's command: waits until the job's ports have been checked, reads its bucket, writes one object.
_CODE = """\
import os, sys, time
from kfp_pachyderm.s3.client import S3Client
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
s3 = S3Client(os.environ["S3_ENDPOINT"], os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
with s3.ask("GET", "input", "hello") as answer:
    body = answer.body.read()
with s3.ask("PUT", "out", "hello", body=[body], length=len(body)) as answer:
    sys.exit(0 if answer.status == 200 and body == b"hello" else 1)
"""


def run(case: Case, timeout: float) -> tuple[list[Finding], list[Finding]]:
    """Runs a step, and checks its job's name and ports while the job runs.

    Args:
        case: the Pachyderm.
        timeout: seconds for the step.

    Returns:
        The findings about the job's name and ports, empty if no job began; the findings about the step.
    """
    own = replace(case, project=f"{TRIAL_PROJECT}{secrets.token_hex(3)}")
    try:
        with _project(own):
            way, ended = _step(own, timeout)
    except PachydermError as problem:
        return [], [error("trial", f"{problem}", "see the lines above")]
    return way, [ended, _removed(own)]


@contextmanager
def _project(own: Case) -> Iterator[None]:
    """Makes the project with one repo of one file; deletes it after the block, if Pachyderm allows."""
    project, repo = pfs.Project(name=own.project), repo_message(own.project, _REPO)
    own.pachd.pfs.create_project(project=project, description=TRIAL)
    try:
        own.pachd.pfs.create_repo(repo=repo)
        commit = own.pachd.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
        hello = pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/hello", raw=b"hello"))
        own.pachd.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=commit), hello]))
        own.pachd.pfs.finish_commit(commit=commit_message(Reference(own.project, _REPO, commit.id)))
        yield
    finally:
        _remove(own)


def _remove(own: Case) -> None:
    with suppress(PachydermError):  # `_removed` reports what is left
        remove_trial(own.pachd, own.project)


def _removed(own: Case) -> Finding:
    try:
        left = [one.project.name for one in own.pachd.pfs.list_project()]
    except PachydermError as problem:
        return not_looked("trial's project", str(problem), steps.REMOVE.format(own.project))
    if own.project not in left:
        return ok("trial's project", f"{own.project} is removed")
    return warning("trial's project", f"{own.project} could not be removed", steps.REMOVE.format(own.project))


def _step(own: Case, timeout: float) -> tuple[list[Finding], Finding]:
    with tempfile.TemporaryDirectory(prefix=DOCTOR) as folder:
        process = _start(own, Path(folder), timeout)
        said = _Said(process)
        try:
            way = _look(own, said, time.monotonic() + timeout)
            (Path(folder) / "go").touch()
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            _end(process)
            said.join()
    if code == 0:
        return way, ok("trial", "a step ran as a Pachyderm job: it read, wrote, and its job succeeded")
    why = said.problem or f"exit code {code}"
    return way, error("trial", f"the step failed: {why}", "what it says names the way out")


def _start(own: Case, folder: Path, timeout: float) -> subprocess.Popen[str]:
    config = StepConfig(
        component="doctor",
        inputs=(InputConfig(_REPO, _REPO),),
        name=_PIPELINE,
        project=own.project,
        timeout=timeout,
    )
    given = json.dumps({"outputs": {"outputFile": str(folder / "executor_output.json")}})
    command = [sys.executable, "-P", "-m", "kfp_pachyderm.launcher", dumps(config), "--executor-input", given]
    code = [sys.executable, "-P", "-c", _CODE, str(folder / "go")]
    return subprocess.Popen(
        [*command, "--", *code],
        env={**os.environ, **own.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _end(process: subprocess.Popen[str]) -> None:
    """Ends the step as KFP does: on SIGTERM it ends its job; after SIGKILL the holder's lease ends it."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Said:
    """Reads the step's log while the step runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.job = self.problem = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                text = line.strip().removeprefix("[kfp-pachyderm] ")
                if text.startswith("job="):
                    self.job = text.removeprefix("job=").split()[0]
                elif text:
                    self.problem = text

    @property
    def ended(self) -> bool:
        """Whether the step's process has ended."""
        return self._process.poll() is not None

    def join(self) -> None:
        """Waits until the last line of the log is read, for 10 s at most."""
        self._thread.join(10)


def _look(own: Case, said: _Said, deadline: float) -> list[Finding]:
    """Waits until the job's user code runs, then checks the job's name and ports."""
    while time.monotonic() < deadline and not said.ended:
        job = ClaimedJob(own.project, _PIPELINE, said.job)
        if said.job and steps.works(own, job):
            running = replace(own, job=job)
            return [worker.job_name(running), *worker.ports(running)]
        time.sleep(0.2)
    return []
