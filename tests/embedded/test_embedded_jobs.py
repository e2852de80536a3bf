"""Jobs: their states, their order, what ends them, and what they leave behind."""

from __future__ import annotations

import json
import socket
import threading
from unittest.mock import Mock

import grpc
import pytest
from embedded_bench import Bench, without_auth
from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded.pps.jobs import JobKey
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.embedded.worker.run import job_run
from tests.waiting import PATIENCE, wait_for

State = pps.JobState

#: User code that prints "started", waits until the file `path` exists, and exits with `code`.
_WAIT = """
import os, sys, time
print("started", flush=True)
while not os.path.exists({path!r}):
    time.sleep(0.005)
sys.exit({code})
"""


@pytest.fixture
def gate(tmp_path):
    """A gate; `gate.code()` is user code that runs until `gate.open()`."""

    class Gate:
        path = tmp_path / "gate"

        def code(self, code=0):
            return _WAIT.format(path=str(self.path), code=code)

        def open(self):
            self.path.touch()

    gate = Gate()
    yield gate
    gate.open()


def _started(bench, job):
    """Waits until user code runs; returns the job's info."""

    def running():
        info = bench.client.pps.inspect_job(job=job, details=True)
        return info if info.details.worker_status and "started" in bench.log(job) else None

    return wait_for(running, f"user code of {job}")


def _write(bench, address, commit, path, data):
    client = type(bench.client).from_pachd_address(address)
    client.pfs.put_file_from_bytes(commit=commit, path=path, data=data)


@without_auth
def test_user_code_finds_pachyderms_environment(bench):
    commit = bench.put("images", {"/a": b"1"})
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    job = bench.claim("edges", commit, code, update=False, transform={"env": {"MINE": "yes"}})
    info = bench.ended(job)
    env = json.loads(bench.log(job)[0])
    assert env["PACH_JOB_ID"] == env["PACH_OUTPUT_COMMIT_ID"] == job.id
    assert env["images_COMMIT"] == commit.id
    assert env["AWS_ACCESS_KEY_ID"] == env["AWS_SECRET_ACCESS_KEY"] == "default"
    assert env["S3_ENDPOINT"].startswith("http://127.0.0.1:")
    assert (env["PPS_PIPELINE_NAME"], env["PPS_PROJECT_NAME"]) == ("edges", bench.project.name)
    assert env["MINE"] == "yes"
    assert len(env["PACH_DATUM_ID"]) == 64
    assert {"FILESET_ID", "PPS_SPEC_COMMIT", "PEER_PORT", "KFP_PACHYDERM_HOLDER_PORT"} <= set(env)
    assert "image ubuntu:20.04 is kept in the spec" in next(bench.client.pps.get_logs(job=job)).message
    assert info.state == State.JOB_SUCCESS


@without_auth
@pytest.mark.parametrize(("host", "local"), [("127.0.0.2", "127.0.0.2"), ("0.0.0.0", "127.0.0.1")])
def test_user_code_reaches_its_sidecar_on_the_address_that_the_server_was_given(tmp_path, host, local):
    code = """
import os, urllib.request
print(os.environ["S3_ENDPOINT"].rpartition(":")[0], os.environ["PPS_WORKER_IP"])
print(urllib.request.urlopen(os.environ["S3_ENDPOINT"] + "/images/a").read())
"""
    with EmbeddedServer(tmp_path / "data", host=host) as server:
        bench = Bench(server.address, "p")
        job = bench.claim("edges", bench.put("images", {"/a": b"1"}), code, update=False)
        assert bench.ended(job).state == State.JOB_SUCCESS
        assert bench.log(job) == [f"http://{local} {local}", "b'1'"]


def test_what_is_written_before_user_code_runs_is_gone_and_what_comes_after_stays(bench, gate):
    images = bench.client.pfs.create_repo(repo=bench.repo("images"))
    assert images is not None
    opened = bench.client.pfs.start_commit(branch=bench.branch("images"))
    bench.client.pfs.put_file_from_bytes(commit=opened, path="/a", data=b"1")
    job = bench.claim("edges", opened, gate.code(), update=False)
    output = bench.client.pps.inspect_job(job=job).output_commit
    bench.client.pfs.put_file_from_bytes(commit=output, path="/early", data=b"lost")
    assert bench.paths(output) == ["/early"]
    bench.client.pfs.finish_commit(commit=opened)
    _started(bench, job)
    where = bench.local_call(
        "Locator/Locate", {"project": bench.project.name, "pipeline": "edges", "job": job.id}
    )
    _write(bench, where["sidecar_grpc"], output, "/late", b"kept")
    gate.open()
    assert bench.ended(job).state == State.JOB_SUCCESS
    assert bench.paths(output) == ["/late"]


@without_auth
def test_an_s3_out_job_starts_empty_every_time(bench):
    put = """
import os, urllib.request
url = os.environ["S3_ENDPOINT"] + "/out/" + os.environ["images_COMMIT"]
request = urllib.request.Request(url, b"x", method="PUT")
urllib.request.urlopen(request)
"""
    first, second = bench.put("images", {"/a": b"1"}), bench.put("images", {"/a": b"2"})
    one = bench.claim("edges", first, put, update=False)
    assert bench.ended(one).state == State.JOB_SUCCESS
    two = bench.claim("edges", second)
    assert bench.ended(two).state == State.JOB_SUCCESS
    assert bench.paths(bench.commit("edges", one.id)) == [f"/{first.id}"]
    assert bench.paths(bench.commit("edges", two.id)) == [f"/{second.id}"]


def test_a_failing_command_fails_the_job_and_leaves_its_commit_at_the_head(bench):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, "import sys; print('no'); sys.exit(3)", update=False)
    info = bench.ended(job)
    assert (info.state, info.data_failed, info.data_processed) == (State.JOB_FAILURE, 1, 0)
    datum = next(bench.client.pps.list_datum(job=job))
    assert info.reason == f"datum {datum.datum.id} failed"
    assert datum.state == pps.DatumState.FAILED
    head = bench.client.pfs.inspect_branch(branch=bench.branch("edges")).head
    assert head.id == job.id
    assert bench.client.pfs.inspect_commit(commit=head).error == info.reason


@without_auth
def test_datum_tries_run_again_without_erasing(bench, tmp_path):
    mark = tmp_path / "tried"
    code = f"""
import os, pathlib, sys, urllib.request
mark = pathlib.Path({str(mark)!r})
name = "second" if mark.exists() else "first"
request = urllib.request.Request(os.environ["S3_ENDPOINT"] + "/out/" + name, b"x", method="PUT")
urllib.request.urlopen(request)
print(os.environ["FILESET_ID"])
if name == "first":
    mark.touch()
    sys.exit(1)
"""
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, code, update=False, datumTries=2)
    info = bench.ended(job)
    assert (info.state, info.restart) == (State.JOB_SUCCESS, 0)
    assert bench.paths(info.output_commit) == ["/first", "/second"]
    assert len(bench.log(job)) == 2
    assert len(set(bench.log(job))) == 1


def test_a_replaced_worker_starts_user_code_again_on_an_erased_output(bench, gate, tmp_path):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, gate.code(), update=False)
    _started(bench, job)
    output = bench.client.pps.inspect_job(job=job).output_commit
    bench.client.pfs.put_file_from_bytes(commit=output, path="/gone", data=b"1")
    found = bench.local_call("Faults/ReplaceWorker", {"project": bench.project.name, "pipeline": "edges"})
    assert found
    wait_for(lambda: bench.log(job).count("started") == 2, "user code's second run")
    gate.open()
    info = bench.ended(job)
    assert (info.state, info.restart) == (State.JOB_SUCCESS, 0)
    assert bench.paths(output) == []


def _listens(address):
    host, _, port = address.rpartition("/")[2].partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _until(look, wanted):
    wait_for(lambda: look() == wanted, wanted)


def _fault(bench, name, **more):
    asked = {"project": bench.project.name, "pipeline": "edges", **more}
    assert bench.local_call(f"Faults/{name}", asked)


def test_a_killed_sidecar_comes_back_with_the_output_and_the_job_runs_once_more(bench, gate):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, gate.code(), update=False)
    _started(bench, job)
    output = bench.client.pps.inspect_job(job=job).output_commit
    bench.client.pfs.put_file_from_bytes(commit=output, path="/written", data=b"1")
    asked = {"project": job.pipeline.project.name, "pipeline": "edges", "job": job.id}
    places = bench.local_call("Locator/Locate", asked)
    _fault(bench, "KillSidecar", seconds=1)
    for listens in (False, True):
        for name in ("sidecar_grpc", "sidecar_s3"):
            _until(lambda name=name: _listens(places[name]), listens)
    assert bench.paths(output) == ["/written"]
    assert bench.log(job) == ["started"]
    gate.open()
    info = bench.ended(job)
    assert (info.state, info.restart) == (State.JOB_SUCCESS, 1)
    assert bench.log(job) == ["started", "started"]
    assert bench.paths(output) == []


def test_a_worker_that_is_lost_between_the_end_of_user_code_and_that_of_the_job(bench, gate):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, gate.code(), update=False)
    _started(bench, job)
    _fault(bench, "ReplaceWorkerAtTheEnd")
    gate.open()
    info = bench.ended(job)
    assert (info.state, info.restart) == (State.JOB_SUCCESS, 0)
    assert bench.log(job) == ["started", "started"]


def test_an_empty_input_is_success_without_user_code(bench):
    bench.client.pfs.create_repo(repo=bench.repo("images"))
    bench.create("edges", "raise SystemExit(1)", None)
    job = next(bench.client.pps.list_job(pipeline=bench.pipeline("edges"))).job
    info = bench.ended(job)
    assert (info.state, info.data_total) == (State.JOB_SUCCESS, 0)
    assert bench.log(job) == []


def test_jobs_of_a_pipeline_queue_and_a_claimed_open_commit_is_waited_for(bench, gate):
    commit = bench.put("images", {"/a": b"1"})
    first = bench.claim("edges", commit, gate.code(), update=False)
    second = bench.claim("edges", commit)
    _started(bench, first)
    assert bench.client.pps.inspect_job(job=second).state == State.JOB_CREATED
    output = bench.client.pps.inspect_job(job=second).output_commit
    with pytest.raises(grpc.RpcError, match=r"base commit .* unfinished"):
        bench.client.pfs.put_file_from_bytes(commit=output, path="/x", data=b"")
    gate.open()
    assert bench.ended(second).state == State.JOB_SUCCESS
    opened = bench.client.pfs.start_commit(branch=bench.branch("images"))
    third = bench.claim("edges", opened)
    _until(lambda: bench.client.pps.inspect_job(job=third).state, State.JOB_STARTING)
    bench.client.pfs.finish_commit(commit=opened)
    assert bench.ended(third).state == State.JOB_SUCCESS


def test_a_failed_input_makes_jobs_downstream_unrunnable(bench):
    commit = bench.put("images", {"/a": b"1"})
    bench.ended(bench.claim("edges", commit, "print('fine')", update=False))
    inputs = {"pfs": {"repo": "edges", "glob": "/", "s3": True, "name": "found"}}
    bench.create("montage", "print('never')", inputs)
    failing = bench.claim("edges", commit, "raise SystemExit(1)")
    info = bench.ended(bench.job("montage", failing.id))
    assert info.state == State.JOB_UNRUNNABLE
    assert info.reason == "unrunnable because the following upstream pipelines failed: found"
    assert bench.client.pfs.inspect_commit(commit=info.output_commit).error == info.reason


def _is_found(bench, job):
    try:
        bench.local_call(
            "Locator/Locate", {"project": bench.project.name, "pipeline": "edges", "job": job.id}
        )
    except grpc.RpcError as error:
        return error.code() is not grpc.StatusCode.NOT_FOUND
    return True


def test_stopping_a_job_kills_user_code_and_says_why(bench, gate):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, gate.code(), update=False)
    _started(bench, job)
    bench.client.pps.stop_job(job=job, reason="enough")
    info = bench.ended(job)
    assert (info.state, info.reason) == (State.JOB_KILLED, "enough")
    assert bench.client.pfs.inspect_commit(commit=info.output_commit).error == "enough"
    # The process ends a moment after the job.
    wait_for(lambda: not _is_found(bench, job), "the end of its process")


def test_updating_stopping_and_deleting_a_pipeline_end_its_jobs(bench, gate):
    commit = bench.put("images", {"/a": b"1"})
    first = bench.claim("edges", commit, gate.code(), update=False)
    _started(bench, first)
    second = bench.claim("edges", commit, gate.code() + "#")
    info = bench.ended(first)
    assert info.reason.startswith("all jobs killed because pipeline was updated for user ")
    _started(bench, second)
    bench.client.pps.stop_pipeline(pipeline=bench.pipeline("edges"))
    assert bench.ended(second).reason.startswith("all jobs killed because pipeline was stopped")
    assert bench.client.pps.inspect_pipeline(pipeline=bench.pipeline("edges")).stopped
    bench.client.pfs.create_branch(branch=bench.branch("images", "kfp_edges"), head=commit)
    assert len(list(bench.client.pps.list_job(pipeline=bench.pipeline("edges")))) == 1
    bench.client.pps.start_pipeline(pipeline=bench.pipeline("edges"))
    third = next(bench.client.pps.list_job(pipeline=bench.pipeline("edges"))).job
    assert third.id != second.id
    _started(bench, third)
    bench.client.pps.delete_pipeline(pipeline=bench.pipeline("edges"), force=True)
    assert not bench.client.pps.pipeline_exists(bench.pipeline("edges"))
    assert not bench.client.pps.job_exists(third)
    assert not bench.client.pfs.repo_exists(bench.repo("edges"))


@pytest.mark.parametrize(
    ("limit", "state", "reason"),
    [("jobTimeout", State.JOB_KILLED, " jobtimed out"), ("datumTimeout", State.JOB_FAILURE, "datum ")],
)
def test_time_limits(bench, gate, limit, state, reason):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, gate.code(), update=False, **{limit: "0.3s"})
    info = bench.ended(job)
    assert (info.state, info.reason[: len(reason)]) == (state, reason)


def test_a_collision_in_the_output_fails_the_job_when_it_finishes(bench, gate):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, gate.code(), update=False)
    output = _started(bench, job).output_commit
    for path in ("/k", "/k/x"):
        bench.client.pfs.put_file_from_bytes(commit=output, path=path, data=b"1")
    gate.open()
    info = bench.ended(job)
    assert (info.state, info.reason) == (State.JOB_FAILURE, "file / directory path collision (/k/x)")


@pytest.mark.parametrize("lines", [["one", "two"], [""], []])
def test_every_line_of_stdin_ends_with_a_newline(bench, lines):
    bench.put("images", {"/a": b"1"})
    said = "import sys; print(repr(sys.stdin.read()), flush=True); sys.exit({})"
    transform = {"stdin": lines, "errStdin": lines, "errCmd": ["python3", "-c", said.format(0)]}
    files = {"pfs": {"repo": "images", "glob": "/", "branch": "master"}}
    bench.create("echo", said.format(1), files, transform=transform)
    (job,) = bench.client.pps.list_job(pipeline=bench.pipeline("echo"))
    bench.ended(job.job)
    wanted = repr("".join(f"{line}\n" for line in lines))
    assert [line for line in bench.log(job.job) if line.startswith("'")] == [wanted, wanted]


def test_children_left_in_the_background_are_ended(bench, tmp_path):
    pid = tmp_path / "pid"
    code = f"""
import subprocess
child = subprocess.Popen(["sleep", "600"])
open({str(pid)!r}, "w").write(str(child.pid))
"""
    commit = bench.put("images", {"/a": b"1"})
    assert bench.ended(bench.claim("edges", commit, code, update=False)).state == State.JOB_SUCCESS
    wait_for(lambda: not _exists(int(pid.read_text())), "the child's end")


def _exists(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_cross_with_files_runs_user_code_once_per_file(bench):
    bench.put("texts", {"/a.txt": b"A", "/b.txt": b"B"})
    bench.put("images", {"/i": b"1"})
    code = """
import os
print(os.environ["PACH_DATUM_ID"], open(os.environ["texts"]).read(), os.path.basename(os.environ["texts"]))
"""
    inputs = {
        "cross": [
            {"pfs": {"repo": "images", "glob": "/", "s3": True}},
            {"pfs": {"repo": "texts", "glob": "/*"}},
        ]
    }
    bench.create("both", code, inputs, s3Out=True)
    info = bench.ended(next(bench.client.pps.list_job(pipeline=bench.pipeline("both"))).job)
    assert (info.state, info.data_total, info.data_processed) == (State.JOB_SUCCESS, 2, 2)
    lines = [line.split() for line in bench.log(info.job)]
    assert sorted(line[1:] for line in lines) == [["A", "a.txt"], ["B", "b.txt"]]
    datums = list(bench.client.pps.list_datum(job=info.job))
    assert {one.datum.id for one in datums} == {line[0] for line in lines}
    assert {one.state for one in datums} == {pps.DatumState.SUCCESS}
    assert bench.client.pps.inspect_datum(datum=datums[0].datum).data[1].file.path.endswith(".txt")


def test_an_ordinary_pipeline_gets_files_and_uploads_its_out_folder(bench):
    bench.put("texts", {"/a.txt": b"A", "/b.txt": b"B"})
    code = """
import os, pathlib
pfs = pathlib.Path(os.environ["KFP_PACHYDERM_PFS"])
text = pathlib.Path(os.environ["texts"])
(pfs / "out" / text.name).write_bytes(text.read_bytes() * 2)
"""
    bench.create("double", code, {"pfs": {"repo": "texts", "glob": "/*"}})
    job = next(bench.client.pps.list_job(pipeline=bench.pipeline("double"))).job
    info = bench.ended(job)
    assert info.state == State.JOB_SUCCESS
    assert bench.read(info.output_commit, "/b.txt") == b"BB"
    bench.put("texts", {"/c.txt": b"C"})
    newest = next(bench.client.pps.list_job(pipeline=bench.pipeline("double"))).job
    assert bench.paths(bench.ended(newest).output_commit) == ["/a.txt", "/b.txt", "/c.txt"]


def test_job_sets_subscriptions_logs_and_deletion(bench, gate):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, gate.code(), update=False)
    subscribed = bench.client.pps.subscribe_job(pipeline=bench.pipeline("edges"), details=True)
    assert next(subscribed).job.id == job.id
    _started(bench, job)
    lines: list[str] = []
    follow = threading.Thread(
        target=lambda: lines.extend(one.message for one in bench.client.pps.get_logs(job=job, follow=True))
    )
    follow.start()
    gate.open()
    found = list(bench.client.pps.inspect_job_set(job_set=pps.JobSet(id=job.id), wait=True))
    assert [one.state for one in found] == [State.JOB_SUCCESS]
    follow.join(PATIENCE)
    assert "started" in lines
    assert [one.job_set.id for one in bench.client.pps.list_job_set(projects=[bench.project])] == [job.id]
    assert len(list(bench.client.pps.get_logs(job=job, tail=1))) == 1
    bench.client.pps.delete_job(job=job)
    assert not bench.client.pps.job_exists(job)
    assert bench.client.pfs.commit_exists(found[0].output_commit)
    subscribed.close()


def test_the_job_id_stands_for_the_input_commit_too(bench):
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, "print()", update=False)
    alias = bench.client.pfs.inspect_commit(commit=bench.commit("images", job.id))
    assert alias.commit.id == commit.id


def test_rerun_makes_a_new_version(bench):
    commit = bench.put("images", {"/a": b"1"})
    bench.ended(bench.claim("edges", commit, "print()", update=False))
    bench.client.pps.rerun_pipeline(pipeline=bench.pipeline("edges"), reprocess=True)
    assert bench.client.pps.inspect_pipeline(pipeline=bench.pipeline("edges")).version == 2
    assert len(list(bench.client.pps.list_pipeline(pipeline=bench.pipeline("edges"), history=-1))) == 2


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"input": {"pfs": {"repo": "images", "glob": "/*", "s3": True}}}, "must also set 'glob', to \"/\""),
        (
            {"input": {"pfs": {"repo": "images", "glob": "/", "s3": True, "lazy": True}}},
            "both 's3' and 'lazy'",
        ),
        (
            {"input": {"union": [{"pfs": {"repo": "images", "glob": "/", "s3": True}}]}},
            "S3 inputs in union expressions are not supported",
        ),
        ({"input": {"pfs": {"repo": "images", "glob": "/", "name": "out"}}}, "input cannot be named out"),
        ({"input": {"pfs": {"repo": "none", "glob": "/"}}}, "repo .*/none not found"),
        (
            {"service": {"internalPort": 80}, "s3Out": True},
            "s3 output is not supported in spouts or services",
        ),
        ({"s3Out": "true"}, "invalid value for bool field"),
        ({"s4Out": True}, 'unknown field "s4Out"'),
        ({"pipeline": {"name": "x" * 52}}, "1 characters longer than the 51 max"),
        ({"pipeline": {"name": "-x"}}, "must start with an alphanumeric character"),
        ({"pipeline": {"name": "images"}}, "a repo with the same name already exists"),
        ({"transform": None}, "pipeline must specify a transform"),
    ],
)
def test_specs_that_pachyderm_refuses(bench, spec, text):
    bench.put("images", {"/a": b"1"})
    name = spec.get("pipeline", {}).get("name", "edges")
    whole = {
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "images", "glob": "/"}},
        **spec,
        "pipeline": {"name": name, "project": {"name": bench.project.name}},
    }
    if spec.get("transform", 0) is None:
        # CreatePipelineV2 adds the built-in default transform, so only CreatePipeline can lack one.
        with pytest.raises(grpc.RpcError, match=text):
            bench.client.pps.create_pipeline(pipeline=bench.pipeline(name))
        return
    with pytest.raises(grpc.RpcError, match=text):
        bench.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(whole))
    assert not bench.client.pps.pipeline_exists(bench.pipeline("edges"))


def test_the_first_version_of_the_create_call_works_too(bench):
    bench.put("images", {"/a": b"1"})
    given = pps.Input(pfs=pps.PfsInput(repo="images", glob="/", s3=True, project=bench.project.name))
    bench.client.pps.create_pipeline(
        pipeline=bench.pipeline("edges"), transform=pps.Transform(cmd=["true"]), input=given, s3_out=True
    )
    info = bench.client.pps.inspect_pipeline(pipeline=bench.pipeline("edges"), details=True)
    assert (info.details.input.pfs.name, info.details.input.pfs.branch) == ("images", "master")
    assert info.details.s3_out
    assert json.loads(info.effective_spec_json)
    with pytest.raises(grpc.RpcError) as error:
        bench.client.pps.create_pipeline(
            pipeline=bench.pipeline("edges"), transform=pps.Transform(cmd=["true"]), input=given
        )
    assert error.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert error.value.details() == f'pipeline "{bench.project.name}/edges" already exists'


def test_metadata_of_everything(bench):
    from pachyderm_sdk.api import metadata

    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("edges", commit, "print()", update=False)
    output = bench.ended(job).output_commit
    edit = metadata.Edit
    add = metadata.EditEditKey(key="run", value="7")
    branch = bench.branch("images").as_picker()
    edits = [
        edit(project=pfs.ProjectPicker(name=bench.project.name), edit_key=add),
        edit(repo=bench.repo("images").as_picker(), edit_key=add),
        edit(branch=branch, edit_key=add),
        edit(commit=output.as_picker(), edit_key=add),
    ]
    bench.client.metadata.edit_metadata(edits=edits)
    assert bench.client.pfs.inspect_commit(commit=output).metadata == {"run": "7"}
    assert bench.client.pfs.inspect_repo(repo=bench.repo("images")).metadata == {"run": "7"}
    assert bench.client.pfs.inspect_branch(branch=bench.branch("images")).metadata == {"run": "7"}
    assert bench.client.pfs.inspect_project(project=bench.project).metadata == {"run": "7"}
    wrong = edit(commit=output.as_picker(), edit_key=metadata.EditEditKey(value="1"))
    with pytest.raises(grpc.RpcError) as error:
        bench.client.metadata.edit_metadata(edits=[wrong])
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    remove = edit(commit=output.as_picker(), delete_key=metadata.EditDeleteKey(key="run"))
    bench.client.metadata.edit_metadata(edits=[remove])
    assert bench.client.pfs.inspect_commit(commit=output).metadata == {}


def test_a_job_that_ends_before_its_turn_opens_no_log(tmp_path, monkeypatch):
    """Nobody would close it."""
    monkeypatch.setattr(job_run.commits, "by_id", Mock())
    logs, job = Mock(), Mock(key=JobKey("default", "edges", "0" * 32))
    job_run.JobRun(Mock(folder=tmp_path), logs, job, Mock(), {}, "127.0.0.1")
    logs.open.assert_not_called()
