"""A whole KFP step with auth on: with exactly the roles that it needs, and with each of them missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from embedded_auth import ROOT, Office, server
from pachyderm_sdk.api import auth, pfs, pps

from kfp_pachyderm.launcher.config import InputConfig, StepConfig, dumps

COPY = """
import os, boto3
s3 = boto3.client("s3")
body = s3.get_object(Bucket="images", Key="a")["Body"].read()
s3.put_object(Bucket="out", Key="copy", Body=body + b"!")
assert "KFP_PACHYDERM_TOKEN" not in os.environ
"""


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with server(tmp_path_factory.mktemp("auth"), "--auth", KFP_PACHYDERM_ROOT_TOKEN=ROOT) as address:
        yield Office(address)


class _Step:
    """A step of its own pipeline, project and input repo; the robot that runs it gets its roles here."""

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
            timeout=20.0,
            gateway=gateway,
        )

    def bind(self, input_role, project_role):
        for resource, role in ((f"default/{self.repo.name}", input_role), (self.project, project_role)):
            self.office.bind(self.robot.robot_name, resource, *filter(None, [role]))

    def bind_output(self, *roles):
        self.office.bind(self.robot.robot_name, f"{self.project}/step", *roles)

    def run(self, token=None):
        outputs = {
            "parameters": {"commit": {"outputFile": str(self.folder / "commit")}},
            "artifacts": {"pachyderm": {"artifacts": [{"name": "p", "uri": str(self.folder / "pachyderm")}]}},
            "outputFile": str(self.folder / "executor_output.json"),
        }
        request = json.dumps({"inputs": {"parameterValues": {}}, "outputs": outputs})
        command = [sys.executable, "-m", "kfp_pachyderm.launcher", dumps(self.config), "--executor-input"]
        env = {"KFP_PACHYDERM_ADDRESS": self.office.address, "KFP_PACHYDERM_TOKEN": token or self.token}
        done = subprocess.run(
            [*command, request, "--", sys.executable, "-c", COPY],
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        print(done.stdout, done.stderr)
        assert self.token not in done.stdout + done.stderr
        return done

    def jobs(self):
        return list(self.office.root.pps.list_job(pipeline=self.pipeline, history=-1))

    def everything(self):
        """What a refused step must leave as it is."""
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
def test_step_passes_with_exactly_its_roles(office, tmp_path, gateway):
    step = _Step(office, tmp_path, gateway)
    step.bind("repoWriter", "projectWriter")
    assert step.run().returncode == 0
    (job,) = step.jobs()
    assert (job.state, step.output(job.job.id)) == (pps.JobState.JOB_SUCCESS, b"A!")
    # The pipeline's maker owns its output; whoever comes later has to be able to see and stop its jobs.
    resource = auth.Resource(type=auth.ResourceType.REPO, name=f"{step.project}/step")
    assert "repoOwner" in step.robot.auth.get_permissions(resource=resource).roles
    step.bind("repoWriter", None)
    step.bind_output("repoWriter")
    assert step.run().returncode == 0
    assert len(step.jobs()) == 2


@pytest.mark.parametrize(
    ("input_role", "project_role", "text"),
    [
        (None, "projectWriter", "needs permissions [REPO_INSPECT_COMMIT] on REPO default/{repo}"),
        ("repoReader", "projectWriter", "needs permissions [REPO_CREATE_BRANCH] on REPO default/{repo}"),
        ("repoWriter", None, "needs permissions [PROJECT_CREATE_REPO] on PROJECT {project}"),
        ("repoWriter", "projectViewer", "needs permissions [PROJECT_CREATE_REPO] on PROJECT {project}"),
    ],
)
def test_each_missing_role_is_named_and_nothing_is_changed(office, tmp_path, input_role, project_role, text):
    step = _Step(office, tmp_path)
    step.bind(input_role, project_role)
    before = step.everything()
    done = step.run()
    assert done.returncode != 0
    assert text.format(repo=step.repo.name, project=step.project) in done.stderr
    assert step.robot.robot_name in done.stderr
    assert step.everything() == before


@pytest.mark.parametrize("token", ["", "not-a-token"])
def test_no_good_token_is_named_and_nothing_is_changed(office, tmp_path, token):
    step = _Step(office, tmp_path)
    before = step.everything()
    done = step.run(token or " ")
    assert done.returncode != 0
    assert "AuthenticationError" in done.stderr
    assert step.everything() == before


@pytest.mark.parametrize(
    ("roles", "missing"),
    [((), "PIPELINE_LIST_JOB REPO_WRITE"), (("repoReader",), "REPO_WRITE")],
)
def test_missing_role_on_somebody_elses_pipeline_is_named_before_it_is_used(office, tmp_path, roles, missing):
    step = _Step(office, tmp_path)
    step.bind("repoWriter", "projectWriter")
    assert step.run().returncode == 0
    step.bind_output(*roles)
    before = step.everything()
    done = step.run()
    assert done.returncode != 0
    assert f"needs permissions [{missing}] on REPO {step.project}/step" in done.stderr
    assert step.everything() == before
