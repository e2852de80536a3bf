"""Calls of Pachyderm's client that the other tests do not make, and the answer to calls that are absent."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager

import grpc
import pytest
from embedded_bench import without_auth
from pachyderm_sdk.api import metadata, pfs, pps

State = pps.JobState
COPY = "import os; print(os.environ['files'])"


def _refused(code, text, call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert (caught.value.code().name, caught.value.details()) == (code, text)


def _files(repo="images", glob="/*", **fields):
    return {"pfs": {"repo": repo, "glob": glob, "name": "files", **fields}}


def test_absent_calls_are_named(bench):
    _refused(
        "UNIMPLEMENTED",
        "pfs_v2.API/Fsck is not implemented by the embedded Pachyderm",
        lambda: list(bench.client.pfs.fsck()),
    )
    _refused(
        "UNIMPLEMENTED",
        "pps_v2.API/RenderTemplate is not implemented by the embedded Pachyderm",
        lambda: bench.client.pps.render_template(template="{}"),
    )


def test_find_commits(bench):
    first = bench.put("images", {"/a": b"1"})
    bench.put("images", {"/b": b"1"})
    third = bench.put("images", {"/a": b"2"})

    def found(path, **options):
        answers = list(bench.client.pfs.find_commits(start=third, file_path=path, **options))
        assert answers[-1].last_searched_commit.id
        return [one.found_commit.id for one in answers if one.found_commit.id], answers[-1].commits_searched

    assert found("/a") == ([third.id, first.id], 3)
    assert found("/a", limit=1) == ([third.id], 1)
    assert found("/nothing") == ([], 3)
    with bench.client.pfs.commit(branch=bench.branch("images")) as commit:
        _refused(
            "UNKNOWN",
            f"commit {bench.project.name}/images@{commit.id} not finished",
            lambda: list(bench.client.pfs.find_commits(start=commit, file_path="/a")),
        )


def test_drop_and_squash_one_commit(bench):
    first = bench.put("images", {"/a": b"1"})
    second = bench.put("images", {"/b": b"1"})
    name = f"{bench.project.name}/images"
    _refused(
        "UNKNOWN",
        f"cannot drop a commit that has children: {name}@{first.id}",
        lambda: bench.client.pfs.drop_commit(commit=first),
    )
    _refused(
        "UNKNOWN",
        "cannot squash a commit that has no children as that would cause data loss, use the drop operation "
        f"instead: {name}@{second.id}",
        lambda: bench.client.pfs.squash_commit(commit=second),
    )
    third = bench.put("images", {"/c": b"1"})
    bench.client.pfs.squash_commit(commit=second)
    assert bench.paths(third) == ["/a", "/b", "/c"]
    bench.client.pfs.drop_commit(commit=third)
    assert [one.commit.id for one in bench.client.pfs.list_commit(repo=bench.repo("images"))] == [first.id]


def test_commit_with_subvenance_is_dropped_only_with_it_and_its_job_ends(bench):
    first = bench.put("images", {"/a": b"1"})
    bench.create("copy", "import time; time.sleep(60)", _files())
    second = bench.put("images", {"/b": b"1"})
    name = f"{bench.project.name}/images"
    _refused(
        "UNKNOWN",
        f"cannot drop commit ({name}@{second.id}) with subvenance without recursive",
        lambda: bench.client.pfs.drop_commit(commit=second),
    )
    bench.client.pfs.drop_commit(commit=second, recursive=True)
    ended = bench.ended(bench.job("copy", second.id))
    assert (ended.state, ended.output_commit.id) == (State.JOB_KILLED, second.id)
    assert second.id in [one.job.id for one in bench.client.pps.list_job(pipeline=bench.pipeline("copy"))]
    assert bench.client.pfs.inspect_branch(branch=bench.branch("images")).head.id == first.id


@without_auth
def test_jobs_on_commits_are_found_by_the_commits_full_names(bench):
    """src/server/pps/server/api_server.go, intersectCommitSets, compares the full names as texts."""
    first = bench.put("images", {"/a": b"1"})
    bench.create("copy", "pass", _files())
    second = bench.put("images", {"/b": b"1"})

    def on(*commits):
        found = bench.client.pps.list_job(pipeline=bench.pipeline("copy"), input_commit=list(commits))
        return [one.job.id for one in found]

    both = [one.job.id for one in bench.client.pps.list_job(pipeline=bench.pipeline("copy"))]
    assert [on(second), on(first)] == [both[:1], both[1:]]
    assert on(first, second) == []
    output = pfs.Commit(repo=bench.repo("copy"), id=both[0])
    assert on(output) == [], "nothing comes from it"
    meta = pfs.Repo(name="images", type="meta", project=bench.project)
    branch = pfs.Commit(repo=bench.repo("images"), branch=bench.branch("images"))
    for other in (pfs.Commit(repo=meta, id=second.id), branch, bench.commit("none", second.id)):
        assert on(other) == []


def test_datums_of_an_input(bench):
    bench.put("images", {"/a": b"1", "/b": b"1", "/c": b"1"})
    given = pps.Input(pfs=pps.PfsInput(project=bench.project.name, repo="images", glob="/*"))
    listed = list(bench.client.pps.list_datum(input=given))
    assert [one.data[0].file.path for one in listed] == ["/a", "/b", "/c"]
    assert len(list(bench.client.pps.list_datum(input=given, number=2))) == 2
    batches = bench.client.pps.generate_datums(given, 2)
    assert [len(next(batches)), len(batches.send(5))] == [2, 1]
    with pytest.raises(StopIteration):
        next(batches)
    _refused(
        "UNKNOWN",
        "cannot specify both job and input",
        lambda: list(bench.client.pps.list_datum(input=given, job=bench.job("x", "y"))),
    )


def test_datum_that_does_not_run_is_not_restarted(bench):
    bench.put("images", {"/a": b"1"})
    bench.create("copy", COPY, _files())
    job = next(bench.client.pps.list_job(pipeline=bench.pipeline("copy"))).job
    bench.ended(job)
    _refused(
        "UNKNOWN",
        f"datum matching filter [/a /b] could not be found for job ID {job.id}",
        lambda: bench.client.pps.restart_datum(job=job, data_filters=["/a", "/b"]),
    )
    _refused(
        "UNKNOWN",
        "pipeline doesn't have a cron input",
        lambda: bench.client.pps.run_cron(pipeline=job.pipeline),
    )
    _refused("UNKNOWN", "unimplemented", lambda: bench.client.pps.run_pipeline(pipeline=job.pipeline))


def test_summary_counts_pipelines(bench):
    bench.put("images", {"/a": b"1"})
    bench.create("good", COPY, _files())
    bench.create("bad", "raise SystemExit(1)", _files())
    for name in ("good", "bad"):
        bench.ended(next(bench.client.pps.list_job(pipeline=bench.pipeline(name))).job)
    bench.client.pps.stop_pipeline(pipeline=bench.pipeline("good"))
    picker = pfs.ProjectPicker(name=bench.project.name)
    (found,) = bench.client.pps.pipelines_summary(projects=[picker]).summaries
    assert (found.project, found.active_pipelines, found.paused_pipelines) == (bench.project, 1, 1)
    assert (found.failed_pipelines, found.unhealthy_pipelines) == (0, 1)


def test_project_defaults_are_merged_and_pipelines_made_anew(bench):
    client, project = bench.client, bench.project
    bench.put("images", {"/a": b"1"})
    bench.create("copy", COPY, _files())
    text = json.dumps({"createPipelineRequest": {"description": "by default", "datum_tries": 7}})

    def set_(**options):
        return client.pps.set_project_defaults(project=project, project_defaults_json=text, **options)

    assert client.pps.get_project_defaults(project=project).project_defaults_json == "{}"
    assert [one.name for one in set_(regenerate=True, dry_run=True).affected_pipelines] == ["copy"]
    assert client.pps.get_project_defaults(project=project).project_defaults_json == "{}"
    assert set_().affected_pipelines == []
    assert client.pps.get_project_defaults(project=project).project_defaults_json == text
    assert client.pfs.inspect_project_v2(project=project).defaults_json == text
    assert client.pps.inspect_pipeline(pipeline=bench.pipeline("copy"), details=True).version == 1
    assert [one.name for one in set_(regenerate=True).affected_pipelines] == ["copy"]
    info = client.pps.inspect_pipeline(pipeline=bench.pipeline("copy"), details=True)
    # The user's spec sets datumTries to 1, and overrides the defaults.
    assert (info.version, info.details.description, info.details.datum_tries) == (2, "by default", 1)
    with pytest.raises(grpc.RpcError, match=r'invalid project defaults JSON: .*unknown field "nonsense"'):
        client.pps.set_project_defaults(project=project, project_defaults_json='{"nonsense": 1}')


def test_cluster_defaults(fresh):
    from pachyderm_sdk import Client

    client = Client.from_pachd_address(fresh.address)
    built_in = json.loads(client.pps.get_cluster_defaults().cluster_defaults_json)
    assert built_in["createPipelineRequest"]["datumTries"] == "3"
    text = json.dumps({"createPipelineRequest": {"reprocessSpec": "every_job"}})
    client.pps.set_cluster_defaults(cluster_defaults_json=text)
    assert client.pps.get_cluster_defaults().cluster_defaults_json == text
    spec = json.dumps({"pipeline": {"name": "p"}, "transform": {"cmd": ["true"]}, "input": _files()})
    answer = client.pps.create_pipeline_v2(create_pipeline_request_json=spec, dry_run=True)
    effective = json.loads(answer.effective_create_pipeline_request_json)
    assert (effective["reprocessSpec"], effective["datumTries"]) == ("every_job", "3")


def test_secrets_have_names(bench):
    client = bench.client
    name = f"secret-{bench.project.name}"
    client.pps.create_secret(name=name, data={"key": "value"})
    _refused(
        "UNKNOWN",
        f'failed to create secret: secrets "{name}" already exists',
        lambda: client.pps.create_secret(name=name, data={}),
    )
    info = client.pps.inspect_secret(secret=pps.Secret(name=name))
    assert (info.secret.name, info.type, info.creation_timestamp.year > 2000) == (name, "Opaque", True)
    assert [one.secret.name for one in client.pps.list_secret().secret_info] == [name]
    client.pps.delete_secret(secret=pps.Secret(name=name))
    for call, verb in ((client.pps.inspect_secret, "get"), (client.pps.delete_secret, "delete")):
        _refused(
            "UNKNOWN",
            f'failed to {verb} secret: secrets "{name}" not found',
            lambda call=call: call(secret=pps.Secret(name=name)),
        )


@contextmanager
def _website(body):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/page" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_put_file_from_url(bench):
    body = bytes(range(256)) * 10_000
    bench.put("images", {"/a": b"1"})
    with _website(body) as url, bench.client.pfs.commit(branch=bench.branch("images")) as commit:
        commit.put_file_from_url(path="/page", url=f"{url}/page")
        _refused(
            "UNKNOWN",
            f'error retrieving content from "{url}/gone": 404 Not Found',
            lambda: commit.put_file_from_url(path="/gone", url=f"{url}/gone"),
        )
        _refused(
            "UNIMPLEMENTED",
            "put file from s3 URLs is not implemented by the embedded Pachyderm",
            lambda: commit.put_file_from_url(path="/x", url="s3://bucket/x"),
        )
    assert bench.read(bench.commit("images", commit.id), "/page") == body
    assert bench.paths(bench.commit("images", commit.id)) == ["/a", "/page"]


def test_job_info_has_stats_for_pachctl(bench):
    bench.put("images", {"/a": b"1"})
    bench.create("copy", COPY, _files())
    info = bench.ended(next(bench.client.pps.list_job(pipeline=bench.pipeline("copy"))).job)
    assert info.is_set("stats")


@pytest.mark.parametrize("key", ["kfp", "a\0b"])
def test_metadata_has_no_nul(bench, key):
    """Postgres' JSONB can't hold NUL; the code was measured on a real pachd."""
    commit = bench.put("images", {"/a": b"1"})
    change = metadata.EditEditKey(key=key, value="a" if "\0" in key else "a\0b")
    with pytest.raises(grpc.RpcError) as error:
        bench.client.metadata.edit_metadata(edits=[metadata.Edit(commit=commit.as_picker(), edit_key=change)])
    assert error.value.code() is grpc.StatusCode.ABORTED


def test_metadata_of_a_commit_is_read_back(bench):
    commit = bench.put("images", {"/a": b"1"})
    edit = metadata.Edit(commit=commit.as_picker(), add_key=metadata.EditAddKey(key="k", value="v"))
    bench.client.metadata.edit_metadata(edits=[edit])
    assert bench.client.pfs.inspect_commit(commit=commit).metadata == {"k": "v"}


def test_what_a_newer_client_says_in_an_edit_of_metadata_is_left_out(bench):
    commit = bench.put("images", {"/a": b"1"})
    edit = metadata.Edit(commit=commit.as_picker(), add_key=metadata.EditAddKey(key="k", value="v"))
    edit._unknown_fields = b"\x9a\x06\x02\x08\x01\x90\x06\x01"  # field 99, a message, and 98, a number
    bench.client.metadata.edit_metadata(edits=[edit])
    assert bench.client.pfs.inspect_commit(commit=commit).metadata == {"k": "v"}


def test_all_edits_of_metadata_or_none(bench):
    """Measured on a real pachd (2.12). Two `kfp-pachyderm trigger` claim a commit by it."""
    commit = bench.put("images", {"/a": b"1"})

    def add(key):
        return metadata.Edit(commit=commit.as_picker(), add_key=metadata.EditAddKey(key=key, value="v"))

    def delete(key):
        return metadata.Edit(commit=commit.as_picker(), delete_key=metadata.EditDeleteKey(key=key))

    edit = bench.client.metadata.edit_metadata
    edit(edits=[add("a"), delete("nothing"), add("b"), delete("b"), add("c")])
    with pytest.raises(grpc.RpcError) as error:
        edit(edits=[add("z"), add("a"), add("c")])
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    lines = error.value.details().splitlines()
    assert [line.split(": edit commit")[0] for line in lines] == ["apply edits: edit #1", "edit #2"]
    assert lines[0].endswith('add_key target key "a" already exists; use edit_key instead')
    assert bench.client.pfs.inspect_commit(commit=commit).metadata == {"a": "v", "c": "v"}
    nowhere = metadata.Edit(project=pfs.ProjectPicker(name="nowhere"), add_key=metadata.EditAddKey(key="a"))
    with pytest.raises(grpc.RpcError) as error:
        edit(edits=[nowhere])
    assert error.value.code() is grpc.StatusCode.UNKNOWN
    assert "not found" in error.value.details()
