"""What a real step leaves on its commit and in KFP's artifact of how it was made."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from launcher_steps import Runner  # type: ignore[import-not-found]

from kfp_pachyderm.launcher.config import COMPILED_VARIABLE, InputConfig, StepConfig, dumps
from kfp_pachyderm.launcher.executor_input import parse
from kfp_pachyderm.launcher.record.initial import code_of
from kfp_pachyderm.pachd.connection.texts import REASON
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.job import inspect_output, stop
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.pachd.sdk import pps
from kfp_pachyderm.provenance.kfp_task import FAILURE_KEY, KfpTask
from kfp_pachyderm.provenance.record import OPEN, Code, Hashed, Source, StepRecord
from kfp_pachyderm.provenance.stored_record import Stored, entries, read

WRITE = """
import boto3
boto3.client("s3").put_object(Bucket="out", Key="copy/a", Body=b"AB")
"""
RECORD = StepRecord(KfpTask(*"abcdefghi"), "default", Reference("default", "look", "b" * 32))
COMPILED = {"kfp": "2.17.0", "commit": "c" * 40, "dirty": True, "file": "pipelines/look.py"}


def stored(step: Runner, job: str) -> Stored:
    output = Reference("default", step.name, job)
    found = read(output, inspect_output(step.pachd, output).metadata)
    assert found is not None
    assert (found.is_edited, found.problem) == (False, "")
    return found


def test_record_of_a_step(step: Runner) -> None:
    commit = step.fill(a=b"A")
    given: dict[str, Any] = {
        "sigma": 1.5,
        "text": "日本 😀 \0 \ud800",
        "names": ["a", {"b": None}],
        "long": "x" * 20_000,
        "token": "the-secret",
        "images": f"in-{step.name}@{commit}",
    }
    process = step.start(
        WRITE,
        step.config(digest="sha256:1", image="python:3.11", private=("token",)),
        env={COMPILED_VARIABLE: json.dumps(COMPILED)},
        **given,
    )
    ended = step.end(process)
    assert ended.code == 0

    found = stored(step, ended.job)
    record = found.record
    assert record.code.parameters == {
        "sigma": 1.5,
        "text": "日本 😀 \0 \ud800",
        "names": ["a", {"b": None}],
        "long": Hashed(f"sha256:{hashlib.sha256(json.dumps('x' * 20_000).encode()).hexdigest()}", 20_002),
    }
    assert record.code.private == ("token",)
    assert record.code.command == (sys.executable, "-u", "-c", WRITE)
    assert record.code.source == Source("c" * 40, True, "pipelines/look.py")
    assert record.code.kfp == "2.17.0"
    assert (record.task.digest, record.task.image) == ("sha256:1", "python:3.11")
    assert (record.state, record.job, record.version) == ("SUCCESS", ended.job, 1)
    assert record.inputs == {"images": Reference("default", f"in-{step.name}", commit)}
    assert record.started < record.finished
    assert record.files is not None
    assert record.files.listed is not None
    ((path, size),) = [(one.path, one.size) for one in record.files.listed]
    assert (path, size, record.files.count, record.files.size) == ("/copy/a", 2, 1, 2)

    (artifact,) = ended.output()["artifacts"]["pachyderm"]["artifacts"]
    metadata = artifact["metadata"]
    assert metadata["record_digest"] == found.digest
    assert json.loads(metadata["parameters"])["sigma"] == 1.5
    assert json.loads(metadata["large_parameters"]) == {"long": record.code.parameters["long"].digest}
    assert (metadata["private_parameters"], metadata["git_commit"]) == ("token", "c" * 40)
    assert (metadata["git_dirty"], metadata["kfp_version"]) == ("true", "2.17.0")
    assert (metadata["files"], metadata["files_digest"]) == (1, record.files.digest)
    page = (ended.folder / "pachyderm").read_text()
    for part in ("private, not recorded", "pipelines/look.py", "1.5", "日本"):
        assert part in page
    everything = page + json.dumps(metadata) + ended.out + ended.err
    everything += str(inspect_output(step.pachd, record.output).metadata)
    assert "the-secret" not in everything


def test_what_kfp_adds_to_the_inputs_is_not_recorded() -> None:
    """A private parameter may be made of what KFP adds."""
    channels = {"pipelinechannel--key": "the-secret", "pipelinechannel--n": 5}
    given = {"label": "k-the-secret", "text": "x-5", **channels}
    data = {"inputs": {"parameterValues": given}, "outputs": {}}
    code = code_of(StepConfig(component="look", inputs=(), private=("label",)), parse(json.dumps(data)), {})
    assert (code.parameters, code.private) == ({"text": "x-5"}, ("label",))
    older = replace(RECORD, code=Code(parameters=given))
    read_back = read(RECORD.output, entries(older))
    assert read_back
    assert set(read_back.record.code.parameters) == {"label", "text"}
    assert (read_back.is_edited, read_back.problem) == (False, "")


def test_record_of_a_failed_step(step: Runner) -> None:
    step.fill()
    ended = step.run("raise SystemExit(7)", step.config(), sigma=2)
    assert ended.code == 7
    record = stored(step, ended.job).record
    assert (record.state, record.code.parameters) == ("FAILURE", {"sigma": 2})
    assert "exit code 7" in record.reason
    assert record.files is None


def test_a_reason_of_any_length_ends_the_job(step: Runner) -> None:
    """Through its holder, which takes calls of 64 KiB, and through pachd, which takes 20 MiB."""
    step.fill()
    argv = [dumps(step.config()), "--executor-input", step.executor_input(), "--", "/" + "日" * 40_000]
    command = [sys.executable, "-m", "kfp_pachyderm.launcher", *argv]
    env = {**os.environ, "KFP_PACHYDERM_ADDRESS": step.address}
    ended = subprocess.run(command, env=env, capture_output=True, text=True)
    (job,) = step.jobs()
    assert (ended.returncode, job.state) == (126, pps.JobState.JOB_FAILURE), ended.stderr
    output = Reference("default", step.name, job.job.id)
    said = inspect_output(step.pachd, output).metadata[FAILURE_KEY]
    assert "can't be started" in said
    assert (said, len(said)) == (stored(step, job.job.id).record.reason, REASON)


def test_a_job_is_stopped_whatever_the_reason(step: Runner) -> None:
    step.fill()
    process = step.start("print('here', flush=True)\nimport time\ntime.sleep(600)")
    assert process.stdout
    job = process.stdout.readline().split("job=")[1].split()[0]
    assert process.stdout.readline() == "here\n"
    stop(step.pachd, ClaimedJob("default", step.name, job), "\ud800\0" + "x" * 30 * 2**20)
    assert step.end(process).code == 1
    info = step.job(job)
    assert (info.state, info.reason) == (pps.JobState.JOB_KILLED, "?\ufffd" + "x" * (REASON - 2))


def test_record_while_a_step_runs(step: Runner) -> None:
    """Of a step that nobody could end there is this one."""
    step.fill()
    process = step.start(
        "print('here', flush=True)\nimport sys, time\nwhile True: time.sleep(0.1)", step.config(), sigma=2
    )
    assert process.stdout is not None
    line = ""
    while not line.startswith("here"):
        line = process.stdout.readline()
        if "job=" in line:
            job = line.split("job=")[1].split()[0]
    record = stored(step, job).record
    assert (record.state, record.code.parameters, record.files) == (OPEN, {"sigma": 2}, None)
    process.terminate()
    step.end(process)
    record = stored(step, job).record
    assert record.state in ("FAILURE", "KILLED", OPEN)
    assert record.code.parameters == {"sigma": 2}


def test_record_of_a_step_without_output(step: Runner) -> None:
    step.fill()
    ended = step.run("pass", step.config(s3_out=False))
    record = stored(step, ended.job).record
    assert record.files is not None
    assert (record.files.count, record.files.listed) == (0, ())


CONFIG = StepConfig("look", (InputConfig("images", "images"),))


@pytest.mark.parametrize("secret", ["s", "{{$}}", "python"])
def test_values_are_in_no_recorded_command(secret: str) -> None:
    text = json.dumps({"inputs": {"parameterValues": {"token": secret, "size": 1}}})
    lightweight = ["sh", "-c", "exec", "--executor_input", text, f"--all={text}"]
    code = code_of(replace(CONFIG, private=("token",)), parse(text, {}, lightweight), {})
    assert code.command == ("sh", "-c", "exec", "--executor_input", "{{$}}", "--all={{$}}")
    assert code.parameters == {"size": 1}
    template = ("tool", "{{$.inputs.parameters['token']}}")
    config = replace(CONFIG, private=("token",), command=template)
    assert code_of(config, parse(text, {}, ["tool", secret]), {}).command == template


def test_settings_of_a_workload_are_no_parameters() -> None:
    text = json.dumps({"inputs": {"parameterValues": {"job": {"env": []}, "images": "a@b", "size": 1}}})
    assert code_of(replace(CONFIG, workload=("job",)), parse(text, {}), {}).parameters == {"size": 1}


@pytest.mark.parametrize("said", ["", "{", "[]", "5", '{"commit": ""}', '{"kfp": null}'])
def test_what_compiled_a_pipeline_need_not_be_known(said: str) -> None:
    assert code_of(CONFIG, parse("{}", {}), {COMPILED_VARIABLE: said}).source is None
