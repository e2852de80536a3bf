"""A whole KFP step with auth on: with exactly the roles of docs/connection.md, and without each of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from embedded_auth import ROOT, Office, server
from pachyderm_sdk.api import auth, pfs, pps

import kfp_pachyderm
from kfp_pachyderm.embedded.auth.roles import ROLES
from kfp_pachyderm.launcher.config import AheadConfig, InputConfig, SnapshotConfig, StepConfig, dumps
from tests.grpc_proxy import pem, tls_in_front_of
from tests.waiting import PATIENCE

PACKAGE = Path(kfp_pachyderm.__file__).parent
_PAGE = (Path(__file__).parents[2] / "docs" / "connection.md").read_text()


def _table(heading):
    """The rows of the table below a heading of docs/connection.md, without backquotes."""
    lines = _PAGE.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    rows = [line for line in lines if line.startswith("|")][2:]
    return [tuple(cell.strip().replace("`", "") for cell in row.strip("|").split("|")) for row in rows]


#: Resource on which a step needs a role, the role, a lesser role, the permissions that this one lacks.
ROLE_ROWS = _table("The roles that a step needs")
NEEDED = {on: role for on, role, *_ in ROLE_ROWS}
#: Call, its resource, the permission that it needs, the least role.
CALL_ROWS = _table("Which call needs which role")
CALLS = {call for call, *_ in CALL_ROWS}
#: Each role has all permissions of those before it.
LADDER = ["repoReader", "repoWriter", "repoOwner"]

COPY = """
import os, boto3
s3 = boto3.client("s3")
body = s3.get_object(Bucket="images", Key="a")["Body"].read()
s3.put_object(Bucket="out", Key="copy", Body=body + b"!")
assert "KFP_PACHYDERM_TOKEN" not in os.environ
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    # The server listens on all addresses, as in a cluster.
    arguments = (tmp_path_factory.mktemp("auth"), "--auth", "--host", "0.0.0.0")
    with server(*arguments, KFP_PACHYDERM_ROOT_TOKEN=ROOT) as address:
        yield Office(address)


@pytest.fixture(scope="module")
def front(office):
    """The same server behind TLS."""
    authority = trustme.CA()
    with tls_in_front_of(office.address, authority) as proxy:
        proxy.authority = authority
        yield proxy


class _Step:
    """A step with a pipeline, project and input repo of its own, and the robot that runs it."""

    def __init__(self, office, folder, gateway="adapter"):
        self.office, self.folder = office, folder
        self.repo = office.repo()
        self.project = f"proj-{self.repo.name}"
        office.root.pfs.create_project(project=pfs.Project(name=self.project))
        self.token, self.robot = office.robot()
        self.pipeline = pps.Pipeline(name="step", project=pfs.Project(name=self.project))
        inputs = (InputConfig("images", self.repo.name, project="default"),)
        self.config = StepConfig(
            component="step",
            name="step",
            project=self.project,
            inputs=inputs,
            timeout=PATIENCE,
            gateway=gateway,
        )

    def bind(self, input_role, project_role):
        for resource, role in ((f"default/{self.repo.name}", input_role), (self.project, project_role)):
            self.office.bind(self.robot.robot_name, resource, *filter(None, [role]))

    def bind_output(self, *roles):
        self.office.bind(self.robot.robot_name, f"{self.project}/step", *roles)

    def run(self, token=None, front=None, authority=None, address=None, as_text=False, code=COPY):
        """Runs the launcher against the server, or by TLS (`front`), trusting a certificate authority."""
        address = address or (front.address if front else self.office.address)
        trusted = self.folder / "ca.pem"
        text = pem(authority or front.authority) if front else b""
        trusted.write_bytes(b"" if as_text else text)
        outputs = {
            "parameters": {"commit": {"outputFile": str(self.folder / "commit")}},
            "artifacts": {"pachyderm": {"artifacts": [{"name": "p", "uri": str(self.folder / "pachyderm")}]}},
            "outputFile": str(self.folder / "executor_output.json"),
        }
        request = json.dumps({"inputs": {"parameterValues": {}}, "outputs": outputs})
        command = [sys.executable, "-m", "kfp_pachyderm.launcher", dumps(self.config), "--executor-input"]
        env = {
            "KFP_PACHYDERM_ADDRESS": address,
            "KFP_PACHYDERM_TOKEN": token or self.token,
            "KFP_PACHYDERM_CA": str(trusted),
            "KFP_PACHYDERM_CA_TEXT": text.decode() if as_text else "",
        }
        done = subprocess.run(
            [*command, request, "--", sys.executable, "-c", code],
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        print(done.stdout, done.stderr)
        assert self.token not in done.stdout + done.stderr + str(done.args)
        return done

    def jobs(self):
        return list(self.office.root.pps.list_job(pipeline=self.pipeline, history=-1))

    def everything(self):
        """All that a refused step must not change."""
        root = self.office.root
        return (
            [one.pipeline for one in root.pps.list_pipeline()],
            [one.branch for one in root.pfs.list_branch(repo=self.repo)],
            [one.job.id for one in root.pps.list_job()],
            [one.repo for one in root.pfs.list_repo()],
            list(root.transaction.list_transaction().transaction_info),
        )

    def output(self, job_id):
        repo = pfs.Repo(name="step", type="user", project=self.pipeline.project)
        file = pfs.File(commit=pfs.Commit(repo=repo, id=job_id), path="/copy")
        return b"".join(one.value for one in self.office.root.pfs.get_file(file=file))


@pytest.mark.parametrize("gateway", ["adapter", "direct"])
def test_step_passes_with_exactly_its_roles(office, front, tmp_path, gateway):
    step = _Step(office, tmp_path, gateway)
    step.bind(NEEDED["input repo"], NEEDED["project"])
    assert step.run(front=front).returncode == 0
    (job,) = step.jobs()
    assert (job.state, step.output(job.job.id)) == (pps.JobState.JOB_SUCCESS, b"A!")
    # The robot that made the pipeline owns its output. Any other has to be able to see and stop its jobs.
    resource = auth.Resource(type=auth.ResourceType.REPO, name=f"{step.project}/step")
    assert "repoOwner" in step.robot.auth.get_permissions(resource=resource).roles
    step.bind(NEEDED["input repo"], None)
    step.bind_output(NEEDED["output repo"])
    assert step.run(front=front).returncode == 0
    assert len(step.jobs()) == 2
    assert "CreatePipelineV2" in front.calls
    assert front.calls - {"Locate"} <= set(CALLS)


def test_many_commits_are_gathered_with_exactly_the_steps_roles(office, front, tmp_path):
    step = _Step(office, tmp_path)
    (one,) = step.config.inputs
    code = COPY.replace('"a"', '"0/a"')
    step.config = replace(step.config, inputs=(replace(one, many=True),))
    for input_role, project_role in (
        ("repoReader", NEEDED["project"]),
        (NEEDED["input repo"], "projectViewer"),
    ):
        step.bind(input_role, project_role)
        before = step.everything()
        done = step.run(code=code)
        assert "AuthenticationError" in done.stderr
        assert "needs permissions [" in done.stderr
        assert step.everything() == before
    step.bind(NEEDED["input repo"], NEEDED["project"])
    front.calls.clear()
    assert step.run(front=front, code=code).returncode == 0
    assert {"BatchTransaction", "ModifyFile"} <= front.calls <= {*CALLS, "Locate"}
    step.bind(NEEDED["input repo"], None)
    assert step.run(code=code).returncode == 0
    assert {step.output(job.job.id) for job in step.jobs()} == {b"A!"}


def test_step_has_the_certificate_authority_as_text(office, front, tmp_path):
    """The way for tasks that may have no volumes (`task_config_passthroughs`)."""
    step = _Step(office, tmp_path)
    step.bind(NEEDED["input repo"], NEEDED["project"])
    assert step.run(front=front, as_text=True).returncode == 0
    (job,) = step.jobs()
    assert step.output(job.job.id) == b"A!"
    done = step.run(front=front, authority=trustme.CA(), as_text=True)
    assert f"CertificateError: {front.address} shows a certificate that is not trusted" in done.stderr


@pytest.mark.parametrize("gateway", ["adapter", "direct"])
def test_holder_and_sidecar_are_reached_by_the_address_that_the_server_was(office, tmp_path, gateway):
    step = _Step(office, tmp_path, gateway)
    step.bind(NEEDED["input repo"], NEEDED["project"])
    # The server's own address is 127.0.0.1. The step uses another one, as from another machine.
    done = step.run(address=office.address.replace("127.0.0.1", "127.0.0.2"))
    assert done.returncode == 0
    (job,) = step.jobs()
    assert step.output(job.job.id) == b"A!"


def test_a_pipeline_is_made_ahead_with_exactly_the_steps_roles(office, tmp_path):
    step = _Step(office, tmp_path)
    step.bind(NEEDED["input repo"], NEEDED["project"])
    ahead = AheadConfig("step", step.config, {"images": "commit"})
    references = {"commit": f"default/{step.repo.name}@master"}
    config, step.config = step.config, SnapshotConfig("default", references, ahead=(ahead,))
    done = step.run()
    assert (done.returncode, f"pipeline {step.project}/step is made ahead" in done.stderr) == (0, True)
    step.config = config
    assert step.run().returncode == 0
    assert {one.pipeline_version for one in step.jobs()} == {1}


def test_pipelines_are_not_made_ahead_without_the_steps_roles(office, tmp_path):
    step = _Step(office, tmp_path)
    step.bind("repoReader", None)
    before = step.everything()
    ahead = AheadConfig("step", step.config, {"images": "commit"})
    step.config = SnapshotConfig("default", {"commit": f"default/{step.repo.name}@master"}, ahead=(ahead,))
    done = step.run()
    assert done.returncode == 0
    assert "the pipeline of step step could not be made ahead, the step makes it" in done.stderr
    assert step.everything() == before


def test_a_step_with_concurrency_needs_its_roles_on_each_of_its_pipelines(office, front, tmp_path):
    step = _Step(office, tmp_path, "direct")
    step.bind(NEEDED["input repo"], NEEDED["project"])
    one, wide = step.config, replace(step.config, concurrency=2)
    for step.config in (wide, replace(one, name="step-2"), wide):
        front.calls.clear()
        assert step.run(front=front).returncode == 0
    assert {"ListBranch", "BatchTransaction"} <= front.calls
    token, other = office.robot()
    office.bind(other.robot_name, f"default/{step.repo.name}", NEEDED["input repo"])
    office.bind(other.robot_name, f"{step.project}/step", NEEDED["output repo"])
    before = step.everything()
    missing = f"needs permissions [PIPELINE_LIST_JOB REPO_WRITE] on REPO {step.project}/step-2"
    assert missing in step.run(token).stderr
    assert step.everything() == before
    office.bind(other.robot_name, f"{step.project}/step-2", NEEDED["output repo"])
    assert step.run(token).returncode == 0


def test_table_of_calls_is_complete():
    """The table has each call in the code of steps, triggers and gc (`.pfs.create_branch(`), and no other."""
    made = set()
    reusable = set(PACKAGE.glob("launcher/reusable/*.py"))
    parts = {
        file for room in ("pachd", "launcher", "trigger", "gc") for file in PACKAGE.glob(f"{room}/**/*.py")
    }
    for file in parts - reusable:
        made |= set(re.findall(r"\.(?:pfs|pps|transactions|metadata|admin)\.(\w+)[(,]", file.read_text()))
    made.remove("get")  # a dict's method
    made.add("walk_commit_provenance")  # called by its wire name (pachd/commits/commit_facts.py)
    assert {name.title().replace("_", "") for name in made} == set(CALLS)


@pytest.mark.parametrize(("call", "on", "permission", "role"), CALL_ROWS)
def test_table_of_calls_names_the_least_role(call, on, permission, role):
    if not permission:
        assert role in ("anybody", "any token"), call
        return
    able = {name for name, one in ROLES.items() if set(permission.split()) <= set(one.permissions)}
    assert role in able, call
    less = set(LADDER[: LADDER.index(role)]) if role in LADDER else set()
    assert not less & able, call
    assert NEEDED.get(on, role) in able, f"the role that a step needs on its {on} does not allow {call}"


@pytest.mark.parametrize(("on", "role", "less", "text"), ROLE_ROWS)
def test_each_missing_role_is_named_and_nothing_is_changed(office, tmp_path, on, role, less, text):
    step = _Step(office, tmp_path)
    roles = {**NEEDED, on: less if less != "none" else None}
    step.bind(roles["input repo"], roles["project"])
    if on == "output repo":
        step.bind(NEEDED["input repo"], NEEDED["project"])
        assert step.run().returncode == 0
        step.bind_output(*filter(None, [roles[on]]))
    before = step.everything()
    done = step.run()
    assert done.returncode != 0
    names = {
        "input repo": f"default/{step.repo.name}",
        "project": step.project,
        "output repo": f"{step.project}/step",
    }
    assert f"needs permissions [{text}] on {on.split()[-1].upper()} {names[on]}" in done.stderr
    assert step.everything() == before


def test_wrong_authority_names_address_and_ca_secret_and_changes_nothing(office, front, tmp_path):
    step = _Step(office, tmp_path)
    step.bind(NEEDED["input repo"], NEEDED["project"])
    before = step.everything()
    front.calls.clear()
    done = step.run(front=front, authority=trustme.CA())
    assert done.returncode == 1
    assert f"CertificateError: {front.address} shows a certificate that is not trusted" in done.stderr
    assert "Connection(ca_secret=...)" in done.stderr
    assert (step.everything(), front.calls) == (before, set())


@pytest.mark.parametrize("token", ["", "not-a-token"])
def test_no_good_token_is_named_and_nothing_is_changed(office, tmp_path, token):
    step = _Step(office, tmp_path)
    before = step.everything()
    done = step.run(token or " ")
    assert done.returncode != 0
    assert "AuthenticationError" in done.stderr
    assert step.everything() == before
