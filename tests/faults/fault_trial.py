"""One step under one fault: real processes on an embedded Pachyderm, every network between them breakable."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from kfp_pachyderm.embedded.process import EmbeddedProcess, start
from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.launcher.config import HolderConfig, StepConfig
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.job import inspect_output, is_over, state_name
from kfp_pachyderm.pachd.references import commit_message
from kfp_pachyderm.pachd.sdk import pfs, pps
from tests.faults.fault_links import Link
from tests.faults.fault_pachd import FaultyPachd, announced
from tests.faults.yardstick import Yardstick
from tests.launcher.launcher_steps import Runner
from tests.waiting import PATIENCE, wait_for

LEASE = 4.0
#: Names a trial's processes among all.
MARK = "KFP_PACHYDERM_FAULT_TRIAL"
CONTENT = {"/first": b"first" * 20_000, "/second": random.Random(1).randbytes(3 * 2**20)}
CHILD = """
import boto3, os, random, time
s3 = boto3.client("s3")
assert s3.get_object(Bucket="images", Key="a")["Body"].read() == b"A"
s3.put_object(Bucket="out", Key="first", Body=b"first" * 20_000)
open(os.environ["RUNNING"], "w").close()
while not os.path.exists(os.environ["GO_ON"]): time.sleep(0.02)
s3.put_object(Bucket="out", Key="second", Body=random.Random(1).randbytes(3 * 2**20))
"""


@dataclass
class Outcome:
    """What came of a step.

    Args:
        step: the launcher's exit code as KFP sees it.
        jobs: the states of all its jobs, the oldest first.
        output: of the last job's commit: "whole", "failed", or what is wrong with it.
        seconds: from the fault until step and job had both ended; None for one that is there all the time.
        rounds: the same by the yardstick.
        message: the last that the user reads.
        left: transactions that are still there.
    """

    step: int
    jobs: str
    output: str
    seconds: float | None
    rounds: int
    message: str
    left: list[str]


@dataclass
class Trial:
    """A step that a fault is injected into. A context manager.

    Args:
        server: the embedded Pachyderm.
        folder: a folder of its own.
        yardstick: counts while it runs.
    """

    server: EmbeddedProcess
    folder: Path
    yardstick: Yardstick
    lease: float = LEASE
    timeout: float = PATIENCE
    env: dict[str, str] = field(default_factory=dict)
    while_running: Callable[[], None] = lambda: None
    faulted: float = 0.0
    faulted_round: int = 0

    def __enter__(self) -> Trial:
        self._stack = ExitStack()
        self.links = {name: Link() for name in ("pachd", "holder", "sidecar_grpc", "sidecar_s3")}
        for link in self.links.values():
            self._stack.callback(link.close)
        target = self.server.address.partition("://")[2]
        self.faulty = self._stack.enter_context(FaultyPachd(target, announced(self._route)))
        self.pachd = self._stack.enter_context(connect(parse(self.server.address)))
        address = "grpc://" + self.links["pachd"].route(self.faulty.address)
        self.runner = Runner(address, self.pachd, self.folder / "7-2026-01-02-03-04-05-678901" / "step")
        self.runner.folder.mkdir(parents=True)
        self.runner.fill()
        self.process: subprocess.Popen[str] | None = None
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._processes():
            one.kill()
        for process in self.runner.processes:
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        self._stack.close()

    def _route(self, kind: str, url: str) -> str:
        scheme, _, target = url.partition("://")
        return f"{scheme}://{self.links[kind].route(target)}"

    # What faults are made of

    def note(self, act: Callable[[], object]) -> Callable[[], None]:
        """The act, with the time at which it was done."""

        def noted() -> None:
            self.faulted, self.faulted_round = time.monotonic(), self.yardstick.rounds
            act()

        return noted

    def at(self, phase: str, act: Callable[[], object]) -> None:
        """Does it at that moment of the step's life."""
        noted = self.note(act)
        if phase == BEFORE:
            self.faulty.before("Locate", noted)
        elif phase == RUNNING:
            self.while_running = noted
        elif phase == WRITING:
            self.links["sidecar_grpc"].when(lambda data, before: before + len(data) > 2**20, noted)
        else:
            self.links["holder"].when(lambda data, _: b"/v1/finish" in data, noted)

    def kill_launcher(self) -> None:
        assert self.process
        self.process.kill()

    def kill_launcher_when_told(self) -> None:
        """Stops the launcher where it waits for the holder's answer, and kills it when the holder is gone."""
        found: list[psutil.Process] = []
        # while the lease is kept: on a busy machine it takes long to look at all processes
        self.while_running = lambda: found.append(self._holder())
        self.at(TOLD, lambda: self._stop_launcher_until_the_end_of(found[0]))

    def _stop_launcher_until_the_end_of(self, holder: psutil.Process) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

        def kill() -> None:
            holder.wait(PATIENCE)
            self.kill_launcher()

        self._stack.callback(_in_thread(kill).join)

    def kill_child(self) -> None:
        self._of_launcher(lambda line: "GO_ON" in line[-1]).kill()

    def kill_adapter(self) -> None:
        self._of_launcher(lambda line: line[-1] == "kfp_pachyderm.adapter").kill()

    def kill_holder(self) -> None:
        self._holder().kill()

    def kill_server(self, again_after: float | None) -> None:
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.close()
        if again_after is not None:
            time.sleep(again_after)
            self.start_server()

    def start_server(self) -> None:
        self.server = start(self.server.data_dir, int(self.server.address.rpartition(":")[2]))
        self._stack.callback(self.server.close)

    def fault(self, name: str, **more: Any) -> None:
        """One of the embedded Pachyderm's own."""
        request = {"project": "default", "pipeline": self.runner.name, **more}
        assert json.loads(
            self.pachd.raw(f"/kfp_pachyderm.embedded.Faults/{name}", json.dumps(request).encode())
        )

    def pause_launcher(self) -> None:
        """Until its job has ended."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        self.wait_for_job()
        self.process.send_signal(signal.SIGCONT)

    def cut_off_holder(self) -> None:
        """Cuts the network to the holder until the job has ended."""
        self.links["holder"].cut(PATIENCE)
        self.wait_for_job()
        self.links["holder"].mend()

    def wait_for_job(self) -> None:
        wait_for(lambda: is_over(self.runner.jobs()[-1]), "the job's end")

    def terminate_as_kfp(self) -> None:
        """Readers of stdout and stderr die, SIGTERM, and SIGKILL when the first call to the holder is out."""
        assert self.process
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()
        told = threading.Event()
        self.links["holder"].when(lambda data, _: b"/v1/finish" in data, told.set)
        asked = self.faulty.calls
        os.killpg(self.process.pid, signal.SIGTERM)
        assert told.wait(PATIENCE)
        assert self.faulty.calls == asked, "pachd was asked before the holder was told"
        self.process.kill()

    def update_pipeline(self) -> None:
        """As a step that looked at the pipeline when it had no unfinished job."""
        pipeline = pps.Pipeline(project=pfs.Project(name="default"), name=self.runner.name)
        info = self.pachd.pps.inspect_pipeline(pipeline=pipeline, details=True)
        spec = {**json.loads(info.user_spec_json), "description": "changed"}
        self.pachd.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec), update=True)
        self.stop_jobs()

    def stop_jobs(self) -> None:
        for info in self.runner.jobs():
            self.pachd.pps.stop_job(job=info.job, reason="not wanted any more")

    def second_attempt(self) -> None:
        """KFP has lost sight of the first one, which runs on."""
        self.process = self._start({"KFP_POD_UID": "two"})
        self.wait_for_job()

    # The step's life

    def start(self) -> None:
        self.process = self._start({"KFP_POD_UID": "one"})

    def _start(self, env: dict[str, str]) -> subprocess.Popen[str]:
        marks = {
            MARK: str(self.folder),
            "RUNNING": str(self.folder / "running"),
            "GO_ON": str(self.folder / "go"),
        }
        config = StepConfig(
            component=self.runner.name,
            name=self.runner.name,
            inputs=self.runner.config().inputs,
            holder=HolderConfig(lease=self.lease, attach_timeout=2 * self.lease),
            timeout=self.timeout,
        )
        return self.runner.start(CHILD, config, {**self.env, **env, **marks})

    def drive(self) -> Outcome:
        """From the start to the end of step and job."""
        self.start()
        first = self.process
        assert first
        wait_for(lambda: (self.folder / "running").exists() or first.poll() is not None, "the command")
        if first.poll() is None:
            self.while_running()
        (self.folder / "go").touch()
        assert self.process
        said = self._said(self.process)
        known, rounds = time.monotonic(), self.yardstick.rounds
        if first is not self.process:
            code, text = self._said(first)
            assert code == 1, (code, text)
        if psutil.pid_exists(self.server.pid):
            self._ended_jobs()
            known, rounds = time.monotonic(), self.yardstick.rounds
        else:
            self.start_server()  # only it can say what has become of the job
        last = self._ended_jobs()[-1]
        seconds = known - self.faulted if self.faulted else None
        rounds = rounds - self.faulted_round if self.faulted else 0
        left = self._left()
        states = ", ".join(state_name(info) for info in self._ended_jobs())
        text = said[1] or self._log(last)
        return Outcome(said[0], states, self._output(last), seconds, rounds, text, left)

    def _said(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        if process.stderr and process.stderr.closed:
            process.wait(PATIENCE)
            text = ""
        else:
            text = "\n".join(process.communicate(timeout=PATIENCE))
            print(text)
        code = process.returncode
        lines = [line for line in text.splitlines() if line.startswith("[kfp-pachyderm]")]
        last = lines[-1].removeprefix("[kfp-pachyderm] ") if lines else ""
        return 128 - code if code < 0 else code, "" if code < 0 else last

    def _ended_jobs(self) -> list[pps.JobInfo]:
        every = reversed(self.runner.jobs())
        return [self.pachd.patient(PATIENCE).pps.inspect_job(job=one.job, wait=True) for one in every]

    def _log(self, info: pps.JobInfo) -> str:
        lines = [one.message for one in self.pachd.pps.get_logs(job=info.job) if one.user]
        return lines[-1].strip() if lines else info.reason

    def _output(self, info: pps.JobInfo) -> str:
        job = ClaimedJob("default", self.runner.name, info.job.id)
        commit = inspect_output(self.pachd, job.output)
        if state_name(info) != "SUCCESS":
            return "failed" if commit.error else f"of a job in {state_name(info)}, without an error"
        every = self.pachd.pfs.walk_file(file=pfs.File(commit=commit_message(job.output), path="/"))
        names = [one.file.path for one in every if one.file_type == pfs.FileType.FILE]
        return "whole" if {name: self._read(job, name) for name in names} == CONTENT else f"half: {names}"

    def _read(self, job: ClaimedJob, path: str) -> bytes:
        pieces = self.pachd.pfs.get_file(file=pfs.File(commit=commit_message(job.output), path=path))
        return b"".join(piece.value for piece in pieces)

    def _left(self) -> list[str]:
        """Transactions that are still there after the end of all processes."""
        wait_for(lambda: not self._processes(), f"the end of {self._processes()}")
        every = self.pachd.transactions.list_transaction().transaction_info
        return [one.transaction.id for one in every if one.transaction.id in self.faulty.transactions]

    def _processes(self) -> list[psutil.Process]:
        jobs = self._job_ids()
        return [one for one in psutil.process_iter() if _belongs(one, str(self.folder), jobs)]

    def _job_ids(self) -> set[str]:
        try:
            return {info.job.id for info in self.runner.jobs()}
        except PachydermError:
            return set()

    def _of_launcher(self, matches: Callable[[list[str]], bool]) -> psutil.Process:
        assert self.process
        children = psutil.Process(self.process.pid).children()
        (found,) = [one for one in children if matches(one.cmdline())]
        return found

    def _holder(self) -> psutil.Process:
        def look() -> psutil.Process | None:
            jobs = self._job_ids()
            return next((one for one in psutil.process_iter() if _is_holder(one, jobs)), None)

        found: psutil.Process = wait_for(look, "a holder")
        return found


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except psutil.Error:
        return {}


def _belongs(process: psutil.Process, folder: str, jobs: set[str]) -> bool:
    env = _environment(process)
    return env.get(MARK) == folder or env.get("PACH_JOB_ID") in jobs


def _is_holder(process: psutil.Process, jobs: set[str]) -> bool:
    env = _environment(process)
    return env.get("PACH_JOB_ID") in jobs and "KFP_PACHYDERM_HOLDER_PORT" in env


def _in_thread(act: Callable[[], None]) -> Any:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def plain(message: str) -> str:
    """A message without what is different every time."""
    text = re.sub(r"[0-9a-f]{32,64}", "…", message)
    text = re.sub(r"default/step\d+", "edges", text)
    text = re.sub(r"(SUCCESS: [^;]+ in )[^;]+;", r"\1…;", text)
    return re.sub(r"127\.0\.0\.1:\d+|process \d+", lambda found: found[0].split(":")[0].split()[0], text)


BEFORE, RUNNING = "before the command", "while the command runs"
WRITING, WRITTEN, TOLD = "during the last write", "after the last write", "after the holder was told 0"
