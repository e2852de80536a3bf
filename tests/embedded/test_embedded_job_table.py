"""What was measured of jobs on a real Pachyderm: a test for each fact that no other test shows."""

from __future__ import annotations

import grpc
import pytest
from embedded_bench import without_auth
from pachyderm_sdk.api import pfs, pps

from tests.waiting import wait_for

State = pps.JobState

_WAIT = """
import os, sys, time
print("started", flush=True)
while not os.path.exists({path!r}):
    time.sleep(0.005)
"""


@pytest.fixture
def gate(tmp_path):
    path = tmp_path / "gate"
    yield path
    path.touch()


def _started(bench, job):
    wait_for(lambda: "started" in bench.log(job), f"user code of {job.id}")


def _jobs(bench, name, **more):
    return list(bench.client.pps.list_job(pipeline=bench.pipeline(name), **more))


def _after(bench, name, source, code="print('never')"):
    bench.create(name, code, {"pfs": {"repo": source, "glob": "/", "s3": True, "name": "found"}})


def test_a_commit_on_the_input_repos_master_makes_no_job_for_a_claim_branch(bench):
    commit = bench.put("images", {"/a": b"1"})
    bench.ended(bench.claim("edges", commit, "print()", update=False))
    bench.put("images", {"/b": b"2"})
    assert len(_jobs(bench, "edges")) == 1


def test_an_update_with_the_same_spec_makes_one_job_of_the_new_version_only(bench):
    commit = bench.put("images", {"/a": b"1"})
    bench.ended(bench.claim("edges", commit, "print()", update=False))
    second = bench.claim("edges", commit, "print()", update=True)
    bench.ended(second)
    assert [(one.job.id, one.pipeline_version) for one in _jobs(bench, "edges")] == [(second.id, 2)]
    assert [one.pipeline_version for one in _jobs(bench, "edges", history=-1)] == [2, 1]


def test_a_failure_makes_all_jobs_downstream_unrunnable_and_a_good_run_heals_them(bench):
    commit = bench.put("images", {"/a": b"1"})
    bench.ended(bench.claim("edges", commit, "print('fine')", update=False))
    _after(bench, "montage", "edges", "print('ran')")
    _after(bench, "report", "montage", "print('ran')")
    failing = bench.claim("edges", commit, "raise SystemExit(1)")
    infos = {name: bench.ended(bench.job(name, failing.id)) for name in ("montage", "report")}
    for info in infos.values():
        assert info.state == State.JOB_UNRUNNABLE
        assert info.reason == "unrunnable because the following upstream pipelines failed: found"
        assert bench.client.pfs.inspect_commit(commit=info.output_commit).error == info.reason
        assert bench.log(info.job) == []
        assert (info.data_total, info.restart) == (0, 0)
    healed = bench.claim("edges", commit, "import os\nprint('fine')")
    for name in ("montage", "report"):
        assert bench.ended(bench.job(name, healed.id)).state == State.JOB_SUCCESS


def test_a_stop_makes_jobs_downstream_unrunnable(bench, gate):
    commit = bench.put("images", {"/a": b"1"})
    bench.ended(bench.claim("edges", commit, "print('fine')", update=False))
    _after(bench, "montage", "edges")
    job = bench.claim("edges", commit, _WAIT.format(path=str(gate)))
    _started(bench, job)
    bench.client.pps.stop_job(job=job)
    assert (bench.ended(job).state, bench.ended(job).reason) == (State.JOB_KILLED, "job stopped")
    assert bench.ended(bench.job("montage", job.id)).state == State.JOB_UNRUNNABLE


def test_stopping_a_queued_job_leaves_the_running_one_alone(bench, gate):
    commit = bench.put("images", {"/a": b"1"})
    first = bench.claim("edges", commit, _WAIT.format(path=str(gate)), update=False)
    _started(bench, first)
    second, third = bench.claim("edges", commit), bench.claim("edges", commit)
    bench.client.pps.stop_job(job=second, reason="not this one")
    info = bench.ended(second)
    assert (info.state, info.reason) == (State.JOB_KILLED, "not this one")
    gate.touch()
    assert bench.ended(first).state == bench.ended(third).state == State.JOB_SUCCESS
    assert bench.log(second) == []


@without_auth
def test_a_validation_failure_makes_jobs_downstream_unrunnable(bench):
    put = """
import os, urllib.request
for key in ("k", "k/x"):
    url = os.environ["S3_ENDPOINT"] + "/out/" + key
    urllib.request.urlopen(urllib.request.Request(url, b"x", method="PUT"))
"""
    commit = bench.put("images", {"/a": b"1"})
    bench.ended(bench.claim("edges", commit, "print('fine')", update=False))
    _after(bench, "montage", "edges")
    job = bench.claim("edges", commit, put)
    info = bench.ended(job)
    assert (info.state, info.reason) == (State.JOB_FAILURE, "file / directory path collision (/k/x)")
    assert (info.data_processed, info.data_failed) == (1, 0)
    assert bench.ended(bench.job("montage", job.id)).state == State.JOB_UNRUNNABLE


def test_a_datum_that_times_out_is_tried_again_and_fails_the_job_in_the_end(bench):
    commit = bench.put("images", {"/a": b"1"})
    code = "import time; print('started', flush=True); time.sleep(600)"
    job = bench.claim("edges", commit, code, update=False, datumTimeout="2s", datumTries=2)
    info = bench.ended(job)
    assert (info.state, info.data_failed) == (State.JOB_FAILURE, 1)
    assert bench.log(job) == ["started", "started"]


def test_the_job_timeout_ends_a_job_between_its_tries(bench):
    commit = bench.put("images", {"/a": b"1"})
    code = "import time; time.sleep(600)"
    limits = {"datumTimeout": "0.2s", "datumTries": 1000, "jobTimeout": "0.5s"}
    info = bench.ended(bench.claim("edges", commit, code, update=False, **limits))
    assert (info.state, info.reason) == (State.JOB_KILLED, " jobtimed out")
    assert bench.client.pfs.inspect_commit(commit=info.output_commit).error == " jobtimed out"


def test_accepted_return_codes_and_the_error_command(bench):
    commit = bench.put("images", {"/a": b"1"})
    accepted = {"acceptReturnCode": [3]}
    info = bench.ended(bench.claim("edges", commit, "raise SystemExit(3)", update=False, transform=accepted))
    assert (info.state, info.data_processed) == (State.JOB_SUCCESS, 1)
    recovering = {"errCmd": ["sh", "-c", "echo recovered"]}
    job = bench.claim("edges", commit, "raise SystemExit(4)", transform=recovering)
    info = bench.ended(job)
    assert (info.state, info.data_recovered, info.data_failed) == (State.JOB_SUCCESS, 1, 0)
    assert bench.log(job) == ["recovered"]


@without_auth
def test_a_failed_jobs_files_read_by_commit_and_through_the_branch(bench):
    put = """
import os, urllib.request
url = os.environ["S3_ENDPOINT"] + "/out/partly"
urllib.request.urlopen(urllib.request.Request(url, b"x", method="PUT"))
raise SystemExit(1)
"""
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, put, update=False)
    assert bench.ended(job).state == State.JOB_FAILURE
    head = pfs.Commit(repo=bench.repo("edges"), branch=bench.branch("edges"))
    assert bench.read(bench.commit("edges", job.id), "/partly") == b"x"
    assert bench.read(head, "/partly") == b"x"


@without_auth
def test_a_key_that_several_datums_write_keeps_the_last_one(bench):
    bench.put("images", {"/i": b"1"})
    bench.put("texts", {"/a": b"", "/b": b"", "/c": b""})
    put = """
import os, urllib.request
name = os.path.basename(os.environ["texts"])
for key in ("shared", name):
    url = os.environ["S3_ENDPOINT"] + "/out/" + key
    urllib.request.urlopen(urllib.request.Request(url, name.encode(), method="PUT"))
print(name)
"""
    cross = [
        {"pfs": {"repo": "images", "glob": "/", "s3": True}},
        {"pfs": {"repo": "texts", "glob": "/*"}},
    ]
    bench.create("both", put, {"cross": cross}, s3Out=True)
    (one,) = _jobs(bench, "both")
    info = bench.ended(one.job)
    assert (info.state, info.data_processed) == (State.JOB_SUCCESS, 3)
    assert bench.paths(info.output_commit) == ["/a", "/b", "/c", "/shared"]
    assert bench.read(info.output_commit, "/shared").decode() == bench.log(one.job)[-1]


def test_a_command_that_does_not_exist_fails_the_job_with_a_reason_in_its_log(bench):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, "", update=False, transform={"cmd": ["/no/such/program"]})
    assert bench.ended(job).state == State.JOB_FAILURE
    lines = [one.message for one in bench.client.pps.get_logs(job=job)]
    assert any("user code can't be started" in line and "/no/such/program" in line for line in lines)


def test_jobs_of_a_pipeline_that_does_not_exist_can_not_be_listed(bench):
    with pytest.raises(grpc.RpcError) as refused:
        _jobs(bench, "nowhere", history=-1)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert refused.value.details() == f'pipeline "{bench.pipeline("nowhere").project.name}/nowhere" not found'
