"""Auth: tokens, roles, and the role that each call needs; the texts are Pachyderm's (src/auth/auth.go)."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import replace

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from embedded_auth import CLUSTER, DEFAULT, ROOT, Office, answered, refused, server
from pachyderm_sdk import Client
from pachyderm_sdk.api import auth, metadata, pfs, pps, transaction
from pachyderm_sdk.errors import AuthServiceNotActivated

from kfp_pachyderm.adapter.call_failed import CallFailedError
from kfp_pachyderm.adapter.config import AdapterConfig
from kfp_pachyderm.adapter.disk.objects import Stored
from kfp_pachyderm.adapter.disk.upload_piece import Piece
from kfp_pachyderm.adapter.sidecar.over_s3 import S3Remote

NO_TOKEN = "no authentication token (try logging in)"
BAD_TOKEN = "provided auth token is corrupted or has expired (try logging in again)"
State = pps.JobState


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with server(tmp_path_factory.mktemp("auth"), "--auth", KFP_PACHYDERM_ROOT_TOKEN=ROOT) as address:
        yield Office(address)


@pytest.fixture(autouse=True)
def no_token_of_the_room(monkeypatch):
    """Removes the token that conftest.py sets for every client with KFP_PACHYDERM_TEST_AUTH."""
    monkeypatch.delenv("PACH_PYTHON_AUTH_TOKEN", raising=False)


def _denied(client, permissions, resource):
    return (
        f"{client.robot_name} is not authorized to perform this operation - needs permissions "
        f"[{permissions}] on {resource}. Run `pachctl auth roles-for-permission` to find roles that grant "
        "a given permission."
    )


def test_who_is_who(office):
    assert office.root.auth.who_am_i().username == "pach:root"
    _, robot = office.robot()
    assert robot.auth.who_am_i().username == robot.robot_name
    nobody, stranger = office.as_token(None), office.as_token("nonsense")
    for one, text in ((nobody, NO_TOKEN), (stranger, BAD_TOKEN)):
        refused(one.auth.who_am_i, text, "UNAUTHENTICATED")
        refused(one.pfs.list_repo, text, "UNAUTHENTICATED")
        refused(one.pps.list_job, text, "UNAUTHENTICATED")
        assert one.get_version().major == 2
        assert one.admin.inspect_cluster().id


def test_robot_tokens_expire_and_are_revoked(office):
    token = office.root.auth.get_robot_token(robot="robot:short", ttl=3600).token
    client = office.as_token(token)
    assert client.auth.who_am_i().expiration.year > 2000
    assert office.root.auth.revoke_auth_token(token=token).number == 1
    refused(client.auth.who_am_i, BAD_TOKEN, "UNAUTHENTICATED")
    refused(
        lambda: office.root.auth.get_robot_token(robot="a:b"), "robot names cannot contain colons", "UNKNOWN"
    )
    _, robot = office.robot()
    refused(
        lambda: robot.auth.get_robot_token(robot="x"),
        _denied(robot, "CLUSTER_AUTH_GET_ROBOT_TOKEN", "CLUSTER "),
    )
    office.root.auth.modify_role_binding(resource=CLUSTER, principal=robot.robot_name, roles=["robotUser"])
    assert robot.auth.get_robot_token(robot="x").token


def test_default_bindings(office):
    binding = office.root.auth.get_role_binding(resource=CLUSTER).binding.entries
    assert binding["pach:root"].roles == {"clusterAdmin": True}
    assert binding["allClusterUsers"].roles == {"projectCreator": True}
    default = office.root.auth.get_role_binding(resource=DEFAULT).binding.entries
    assert {name: one.roles for name, one in default.items()} == {"allClusterUsers": {"projectWriter": True}}


def test_bindings_are_checked(office):
    repo = office.repo()
    resource = auth.Resource(type=auth.ResourceType.REPO, name=f"default/{repo.name}")
    _, robot = office.robot()

    def bind(client, principal, roles, where=resource):
        return lambda: client.auth.modify_role_binding(resource=where, principal=principal, roles=roles)

    refused(
        bind(robot, "robot:x", ["repoReader"]),
        _denied(robot, "REPO_MODIFY_BINDINGS", f"REPO default/{repo.name}"),
    )
    refused(bind(office.root, "robot:x", ["king"]), 'unknown role "king"', "UNKNOWN")
    refused(bind(office.root, "x", ["repoReader"]), "subject has no prefix", "UNKNOWN")
    refused(
        bind(office.root, "ghost:x", ["repoReader"]), "subject has unrecognized prefix: ghost:", "UNKNOWN"
    )
    refused(bind(office.root, "pach:root", [], CLUSTER), "cannot modify cluster role bindings", "UNKNOWN")
    missing = auth.Resource(type=auth.ResourceType.REPO, name="default/nope")
    refused(
        bind(office.root, "robot:x", ["repoReader"], missing),
        "no role binding exists for REPO default/nope",
        "UNKNOWN",
    )
    office.bind(robot.robot_name, f"default/{repo.name}", "repoOwner")
    bind(robot, "robot:x", ["repoReader"])()
    office.bind("robot:x", f"default/{repo.name}")
    found = office.root.auth.get_role_binding(resource=resource).binding.entries
    assert {name: list(one.roles) for name, one in found.items()} == {
        "pach:root": ["repoOwner"],
        robot.robot_name: ["repoOwner"],
    }


def test_authorize_and_get_permissions(office):
    repo = office.repo()
    resource = auth.Resource(type=auth.ResourceType.REPO, name=f"default/{repo.name}")
    _, robot = office.robot(**{f"default/{repo.name}": "repoReader"})
    answer = robot.auth.authorize(
        resource=resource, permissions=[auth.Permission.REPO_READ, auth.Permission.REPO_WRITE]
    )
    assert (answer.authorized, answer.principal) == (False, robot.robot_name)
    assert (answer.satisfied, answer.missing) == ([auth.Permission.REPO_READ], [auth.Permission.REPO_WRITE])
    assert robot.auth.get_permissions(resource=resource).roles == ["repoReader"]
    assert "clusterAdmin" in office.root.auth.get_permissions(resource=resource).roles
    info = robot.pfs.inspect_repo(repo=repo)
    assert info.auth_info.roles == ["repoReader"]
    roles = robot.auth.get_roles_for_permission(permission=auth.Permission.REPO_DELETE).roles
    assert {one.name for one in roles} == {"repoOwner", "projectOwner", "clusterAdmin"}


def test_numbers_of_a_later_pachyderm_are_no_names_here(office):
    repo = office.repo()
    resource = auth.Resource(type=auth.ResourceType.REPO, name=f"default/{repo.name}")
    _, robot = office.robot(**{f"default/{repo.name}": "repoOwner"})
    answer = robot.auth.authorize(resource=resource, permissions=[999, auth.Permission.REPO_READ])
    assert (answer.authorized, answer.missing, answer.satisfied) == (
        False,
        [999],
        [auth.Permission.REPO_READ],
    )
    assert robot.auth.get_roles_for_permission(permission=999).roles == []
    kind = auth.Resource(type=99, name="x")
    refused(
        lambda: office.root.auth.modify_role_binding(resource=kind, principal="robot:x", roles=[]),
        "unknown resource type 99",
        "UNKNOWN",
    )


def _calls(repo):
    """Name of a call → the least role for it, the permissions that a lesser one lacks, the call."""
    branch = pfs.Branch(repo=repo, name="master")
    head = pfs.Commit(repo=repo, branch=branch)
    file = pfs.File(commit=head, path="/a")
    root = pfs.File(commit=head, path="/")

    def modify(client):
        add = pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/b", raw=b"B"))
        return client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=head), add]))

    def edit(client):
        change = metadata.Edit(repo=repo.as_picker(), edit_key=metadata.EditEditKey(key="k", value="v"))
        return client.metadata.edit_metadata(edits=[change])

    reader, writer, owner = "repoReader", "repoWriter", "repoOwner"
    files = "REPO_READ REPO_LIST_FILE"
    return {
        "InspectCommit": (reader, "REPO_INSPECT_COMMIT", lambda c: c.pfs.inspect_commit(commit=head)),
        "ListCommit": (reader, "REPO_LIST_COMMIT", lambda c: c.pfs.list_commit(repo=repo)),
        "ListBranch": (reader, "REPO_LIST_BRANCH", lambda c: c.pfs.list_branch(repo=repo)),
        "GetFile": (reader, "REPO_READ", lambda c: c.pfs.get_file(file=file)),
        "GetFileTAR": (reader, "REPO_READ", lambda c: c.pfs.get_file_tar(file=file)),
        "InspectFile": (reader, "REPO_INSPECT_FILE", lambda c: c.pfs.inspect_file(file=file)),
        "ListFile": (reader, "REPO_LIST_FILE", lambda c: c.pfs.list_file(file=root)),
        "WalkFile": (reader, files, lambda c: c.pfs.walk_file(file=root)),
        "GlobFile": (reader, files, lambda c: c.pfs.glob_file(commit=head, pattern="/*")),
        "DiffFile": (reader, "REPO_READ", lambda c: c.pfs.diff_file(new_file=root)),
        "StartCommit": (writer, "REPO_WRITE", lambda c: c.pfs.start_commit(branch=branch)),
        "FinishCommit": (writer, "REPO_WRITE", lambda c: c.pfs.finish_commit(commit=head)),
        "ModifyFile": (writer, "REPO_WRITE", modify),
        "CreateBranch": (
            writer,
            "REPO_CREATE_BRANCH",
            lambda c: c.pfs.create_branch(branch=pfs.Branch(repo=repo, name="x"), head=head),
        ),
        "DeleteBranch": (
            writer,
            "REPO_DELETE_BRANCH",
            lambda c: c.pfs.delete_branch(branch=pfs.Branch(repo=repo, name="x")),
        ),
        "EditMetadata": (writer, "REPO_WRITE", edit),
        "DeleteRepo": (owner, "", lambda c: c.pfs.delete_repo(repo=repo)),
    }


def test_every_call_needs_its_role(office):
    repo = office.repo()
    where = f"default/{repo.name}"
    _, robot = office.robot()
    below = {"repoReader": None, "repoWriter": "repoReader", "repoOwner": "repoWriter"}
    for role, permissions, call in _calls(repo).values():
        office.bind(robot.robot_name, where, *filter(None, [below[role]]))
        if permissions:
            refused(lambda call=call: call(robot), _denied(robot, permissions, f"REPO {where}"))
        else:
            assert not call(robot).deleted
        office.bind(robot.robot_name, where, role)
        answered(lambda call=call: call(robot))


def test_lists_show_what_one_may_see(office):
    project = pfs.Project(name="secluded")
    office.root.pfs.create_project(project=project)
    repo = office.repo(project="secluded")
    seen = lambda client: repo.name in [one.repo.name for one in client.pfs.list_repo()]  # noqa: E731
    _, robot = office.robot()
    assert seen(office.root)
    assert not seen(robot)
    office.bind(robot.robot_name, f"secluded/{repo.name}", "repoReader")
    assert seen(robot)
    office.bind(robot.robot_name, f"secluded/{repo.name}")
    office.bind(robot.robot_name, "secluded", "projectViewer")
    assert seen(robot)


def test_projects_and_repos_belong_to_who_makes_them(office):
    _, robot = office.robot()
    project = pfs.Project(name="robots-own")
    robot.pfs.create_project(project=project)
    repo = pfs.Repo(name="r", type="user", project=project)
    robot.pfs.create_repo(repo=repo)
    resource = auth.Resource(type=auth.ResourceType.REPO, name="robots-own/r")
    assert robot.auth.get_permissions(resource=resource).roles == ["projectOwner", "repoOwner"]
    _, other = office.robot()
    refused(
        lambda: other.pfs.create_repo(repo=pfs.Repo(name="s", type="user", project=project)),
        "failed to create repo: " + _denied(other, "PROJECT_CREATE_REPO", "PROJECT robots-own"),
    )
    refused(
        lambda: other.pfs.delete_project(project=project),
        _denied(other, "PROJECT_DELETE PROJECT_MODIFY_BINDINGS", "PROJECT robots-own"),
    )
    robot.pfs.delete_repo(repo=repo)
    assert office.root.auth.get_role_binding(resource=resource).binding.entries == {}


def test_transaction_runs_as_who_finishes_it(office):
    repo = office.repo()
    _, robot = office.robot()
    branch = pfs.CreateBranchRequest(branch=pfs.Branch(repo=repo, name="tx"))
    made = transaction.TransactionRequest(create_branch=branch)
    refused(
        lambda: robot.transaction.batch_transaction(requests=[made]), "needs permissions [REPO_CREATE_BRANCH]"
    )
    office.root.transaction.batch_transaction(requests=[made])


_WAITS = """
import json, os, urllib.request
print("ENV " + json.dumps({name: os.environ.get(name) for name in
    ("PACH_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "KFP_PACHYDERM_ROOT_TOKEN")}), flush=True)
import time
while not os.path.exists(GATE):
    time.sleep(0.01)
"""


class _Job:
    """A running job that the test ends."""

    def __init__(self, office, client, tmp_path):
        self.repo = office.repo()
        self.gate = tmp_path / "gate"
        self.office = office
        if client is not office.root:
            office.bind(client.robot_name, f"default/{self.repo.name}", "repoReader")
        self.pipeline = office.pipeline(client, self.repo, f"GATE = {str(self.gate)!r}\n{_WAITS}")
        self.job = next(office.root.pps.list_job(pipeline=self.pipeline)).job
        logs = office.root.pps.get_logs(job=self.job, follow=True)
        line = next(one.message for one in logs if one.message.startswith("ENV "))
        self.env = json.loads(line.removeprefix("ENV "))
        self.token = office.root.pps.inspect_job(job=self.job).auth_token
        self.output = pfs.Repo(name=self.pipeline.name, type="user", project=self.pipeline.project)
        self.commit = pfs.Commit(repo=self.output, id=self.job.id)

    def end(self):
        self.gate.touch()
        return self.office.root.pps.inspect_job(job=self.job, wait=True)

    def sidecar(self):
        """The addresses of the sidecar, by S3 and by gRPC, and of the holder."""
        channel = self.office.root._channel
        ask = channel.unary_unary("/kfp_pachyderm.embedded.Locator/Locate")
        key = {"project": "default", "pipeline": self.pipeline.name, "job": self.job.id}
        return json.loads(ask(json.dumps(key).encode(), metadata=(("authn-token", ROOT),)))


def _s3(places, key, secret=None, **config):
    return boto3.client(
        "s3",
        endpoint_url=places["sidecar_s3"],
        aws_access_key_id=key,
        aws_secret_access_key=secret or key,
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **config),
    )


def test_job_token_lives_as_long_as_the_job(office, tmp_path):
    _, owner = office.robot()
    job = _Job(office, owner, tmp_path)
    assert job.token
    assert job.env == {
        "PACH_TOKEN": job.token,
        "AWS_ACCESS_KEY_ID": job.token,
        "AWS_SECRET_ACCESS_KEY": job.token,
        "KFP_PACHYDERM_ROOT_TOKEN": None,
    }
    worker = office.as_token(job.token)
    assert worker.auth.who_am_i().username == f"pipeline:default/{job.pipeline.name}"
    assert [
        one.file.path
        for one in worker.pfs.list_file(
            file=pfs.File(commit=pfs.Commit.from_uri(f"{job.repo.name}@master"), path="/")
        )
    ] == ["/a"]
    refused(
        lambda: worker.pfs.start_commit(branch=pfs.Branch(repo=job.repo, name="master")),
        "needs permissions [REPO_WRITE]",
    )
    worker.pfs.put_file_from_bytes(commit=job.commit, path="/w", data=b"W")
    assert job.end().state == State.JOB_SUCCESS
    refused(worker.auth.who_am_i, BAD_TOKEN, "UNAUTHENTICATED")
    refused(
        lambda: worker.pfs.list_file(file=pfs.File(commit=job.commit, path="/")), BAD_TOKEN, "UNAUTHENTICATED"
    )
    assert next(office.root.pps.list_job(pipeline=job.pipeline)).auth_token == ""


def test_open_output_commit_takes_files_of_everybody_signed_in(office, tmp_path):
    job = _Job(office, office.root, tmp_path)
    _, robot = office.robot()
    robot.pfs.put_file_from_bytes(commit=job.commit, path="/r", data=b"R")
    refused(
        lambda: robot.pfs.list_file(file=pfs.File(commit=job.commit, path="/")),
        "needs permissions [REPO_LIST_FILE]",
    )
    for client in (office.as_token(None), office.as_token("bad")):
        with pytest.raises(Exception, match="token"):
            client.pfs.put_file_from_bytes(commit=job.commit, path="/r", data=b"R")
    refused(
        lambda: robot.pps.stop_job(job=job.job),
        _denied(robot, "REPO_WRITE", f"REPO default/{job.pipeline.name}"),
    )
    refused(lambda: robot.pps.delete_job(job=job.job), "needs permissions [REPO_WRITE]")
    refused(lambda: robot.pps.get_logs(job=job.job), "needs permissions [REPO_READ]")
    refused(lambda: robot.pps.inspect_job(job=job.job, details=True), "needs permissions [PIPELINE_LIST_JOB]")
    assert robot.pps.inspect_job(job=job.job).auth_token == job.token
    refused(lambda: robot.pps.list_job(pipeline=job.pipeline), "needs permissions [PIPELINE_LIST_JOB]")
    # Without details ListJob checks no permission (src/server/pps/server/api_server.go, ListJob).
    assert job.job.id in [one.job.id for one in robot.pps.list_job()]
    assert job.job.id not in [one.job.id for one in robot.pps.list_job(details=True)]
    office.bind(robot.robot_name, f"default/{job.pipeline.name}", "repoWriter")
    robot.pps.stop_job(job=job.job, reason="by a writer")
    assert job.end().reason == "by a writer"


def test_the_adapters_way_by_s3_signs_with_the_jobs_token(office, tmp_path):
    job = _Job(office, office.root, tmp_path)
    [head] = office.root.pfs.list_commit(repo=job.repo, number=1)
    source, output = ("default", job.repo.name, head.commit.id), ("default", job.pipeline.name, job.job.id)
    config = AdapterConfig("", "", job.token, {"images": source}, output, {}, "", "", "")
    by_s3 = S3Remote(job.sidecar()["sidecar_s3"], config)
    assert [one.path for one in by_s3.walk(source)] == ["/a"]
    assert b"".join(by_s3.read(source, "/a", 0, 1)) == b"A"
    pieces = (Piece(1, 1, hashlib.md5(b"O").digest()),)
    written = Stored("sub dir/o=o&%o", 1, "", head.finished, lambda *_: iter([b"O"]), pieces)
    by_s3.write(output, [written], [], 10)
    assert by_s3.differing(output, [written], 10) == []
    other = S3Remote(by_s3.address, replace(config, token="nobodys-token"))
    with pytest.raises(CallFailedError, match="InvalidAccessKeyId") as refusal:
        other.inspect(source, "/a")
    assert "nobodys-token" not in str(refusal.value)
    assert job.end().state == State.JOB_SUCCESS
    [found] = office.root.pfs.list_file(file=pfs.File(commit=job.commit, path="/sub dir"))
    assert found.file.path == "/sub dir/o=o&%o"


def test_sidecar_knows_tokens(office, tmp_path):
    job = _Job(office, office.root, tmp_path)
    places = job.sidecar()
    s3 = _s3(places, job.token)
    assert s3.get_object(Bucket="images", Key="a")["Body"].read() == b"A"
    s3.put_object(Bucket="out", Key="o", Body=b"O")
    reader, robot = office.robot(**{f"default/{job.repo.name}": "repoReader"})
    other = _s3(places, reader)
    assert other.get_object(Bucket="images", Key="a")["Body"].read() == b"A"
    _fails(500, other.put_object, Bucket="out", Key="stored", Body=b"all the same")
    stranger, _ = office.robot()
    _fails(500, _s3(places, stranger).get_object, Bucket="images", Key="a")
    _fails(500, _s3(places, stranger).list_objects, Bucket="images")
    _fails(403, _s3(places, "unknown").list_objects, Bucket="images")
    _fails(403, _s3(places, job.token, "wrong").list_objects, Bucket="images")
    inside = Client.from_pachd_address(places["sidecar_grpc"], auth_token=job.token)
    inside.pfs.put_file_from_bytes(commit=job.commit, path="/g", data=b"G")
    for token, text in ((None, NO_TOKEN), ("bad", BAD_TOKEN)):
        outside = Client.from_pachd_address(places["sidecar_grpc"], auth_token=token)
        refused(
            lambda client=outside: client.pfs.list_file(file=pfs.File(commit=job.commit, path="/")),
            text,
            "UNAUTHENTICATED",
        )
    assert job.end().state == State.JOB_SUCCESS
    found = office.root.pfs.list_file(file=pfs.File(commit=job.commit, path="/"))
    assert sorted(one.file.path for one in found) == ["/g", "/o", "/stored"]
    assert robot


def _fails(status, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_pipelines_need_their_inputs_and_give_them_back(office, tmp_path):
    repo = office.repo()
    where = f"default/{repo.name}"
    resource = auth.Resource(type=auth.ResourceType.REPO, name=where)
    _, robot = office.robot()
    code = "pass"
    refused(lambda: office.pipeline(robot, repo, code), _denied(robot, "REPO_READ", f"REPO {where}"))
    assert not [one for one in office.root.pps.list_pipeline() if one.details.input.pfs.repo == repo.name]
    office.bind(robot.robot_name, where, "repoReader")
    pipeline = office.pipeline(robot, repo, code)
    principal = f"pipeline:default/{pipeline.name}"
    bound = lambda: office.root.auth.get_role_binding(resource=resource).binding.entries  # noqa: E731
    assert bound()[principal].roles == {"repoReader": True}
    output = auth.Resource(type=auth.ResourceType.REPO, name=f"default/{pipeline.name}")
    assert {
        name: list(one.roles)
        for name, one in office.root.auth.get_role_binding(resource=output).binding.entries.items()
    } == {robot.robot_name: ["repoOwner"], principal: ["repoWriter"]}
    _, other = office.robot(**{where: "repoReader"})
    _, writer = office.robot(**{where: "repoReader", f"default/{pipeline.name}": "repoWriter"})
    for call, permission in (
        (other.pps.stop_pipeline, "REPO_WRITE"),
        (other.pps.start_pipeline, "REPO_WRITE"),
        (other.pps.rerun_pipeline, "REPO_WRITE"),
        # Pachyderm stops a pipeline before it checks REPO_DELETE (pps api_server.go, deletePipeline)
        (other.pps.delete_pipeline, "REPO_WRITE"),
        (writer.pps.delete_pipeline, "REPO_DELETE"),
    ):
        refused(
            lambda call=call: call(pipeline=pipeline),
            f"needs permissions [{permission}] on REPO default/{pipeline.name}",
        )
    robot.pps.rerun_pipeline(pipeline=pipeline)
    assert robot.pps.inspect_pipeline(pipeline=pipeline, details=True).version == 2
    robot.pps.delete_pipeline(pipeline=pipeline)
    assert principal not in bound()


def test_killed_job_names_the_user(office, tmp_path):
    _, robot = office.robot()
    job = _Job(office, robot, tmp_path)
    robot.pps.rerun_pipeline(pipeline=job.pipeline)
    ended = office.root.pps.inspect_job(job=job.job, wait=True)
    reason = f"all jobs killed because pipeline was updated for user {robot.robot_name}"
    assert (ended.state, ended.reason) == (State.JOB_KILLED, reason)
    refused(office.as_token(job.token).auth.who_am_i, BAD_TOKEN, "UNAUTHENTICATED")
    job.gate.touch()


def test_off_until_activated_by_a_client(tmp_path):
    with server(tmp_path / "data") as address:
        plain = Client.from_pachd_address(address)
        with pytest.raises(AuthServiceNotActivated):
            plain.auth.who_am_i()
        with pytest.raises(AuthServiceNotActivated):
            plain.pfs.activate_auth()
        plain.pfs.create_repo(repo=pfs.Repo(name="before", type="user", project=pfs.Project(name="default")))
        assert plain.auth.activate(root_token="mine").pach_token == "mine"
        refused(plain.pfs.list_repo, NO_TOKEN, "UNAUTHENTICATED")
        refused(plain.auth.activate, "already activated", "UNIMPLEMENTED")
        root = Client.from_pachd_address(address, auth_token="mine")
        root.pfs.activate_auth()
        root.pps.activate_auth()
        assert [one.repo.name for one in root.pfs.list_repo()] == ["before"]
    with server(tmp_path / "data") as address:
        refused(Client.from_pachd_address(address).pfs.list_repo, NO_TOKEN, "UNAUTHENTICATED")
        root = Client.from_pachd_address(address, auth_token="mine")
        assert root.auth.rotate_root_token(root_token="next").root_token == "next"
        refused(root.auth.who_am_i, BAD_TOKEN, "UNAUTHENTICATED")
        root = Client.from_pachd_address(address, auth_token="next")
        root.auth.deactivate()
        assert [one.repo.name for one in Client.from_pachd_address(address).pfs.list_repo()] == ["before"]


def test_turned_on_over_what_exists(tmp_path):
    def bound(client, name):
        resource = auth.Resource(type=auth.ResourceType.REPO, name=f"default/{name}")
        found = client.auth.get_role_binding(resource=resource).binding.entries
        return {principal: list(one.roles) for principal, one in found.items()}

    with server(tmp_path) as address:
        plain = Client.from_pachd_address(address)
        for name in ("images", "doomed"):
            repo = pfs.Repo(name=name, type="user", project=pfs.Project(name="default"))
            plain.pfs.create_repo(repo=repo)
            spec = {
                "pipeline": {"name": f"of-{name}"},
                "transform": {"cmd": ["true"]},
                "input": {"pfs": {"repo": name, "glob": "/*"}},
            }
            plain.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
        plain.pfs.delete_repo(repo=repo, force=True)
    with server(tmp_path, "--auth", KFP_PACHYDERM_ROOT_TOKEN=ROOT) as address:
        root = Client.from_pachd_address(address, auth_token=ROOT)
        assert bound(root, "images") == {"pipeline:default/of-images": ["repoReader"]}
        assert bound(root, "of-images") == {"pipeline:default/of-images": ["repoWriter"]}
        assert len(list(root.pps.list_pipeline())) == 2


def test_root_token_is_kept_for_its_owner_alone(tmp_path):
    for _ in range(2):
        with server(tmp_path, "--auth") as address:
            file = tmp_path / "root-token"
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            root = Client.from_pachd_address(address, auth_token=file.read_text().strip())
            assert root.auth.who_am_i().username == "pach:root"
            assert file.read_text().strip() not in (tmp_path / "server.json").read_text()
    with server(tmp_path, "--auth", KFP_PACHYDERM_ROOT_TOKEN="other") as address:
        assert Client.from_pachd_address(address, auth_token="other").auth.who_am_i().username == "pach:root"
        assert not (tmp_path / "root-token").exists()
        refused(
            Client.from_pachd_address(address, auth_token="other").auth.rotate_root_token,
            "RotateRootToken() is disabled when the root token is configured in the environment",
            "UNKNOWN",
        )
