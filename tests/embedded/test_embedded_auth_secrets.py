"""With auth on, user code can see neither the job's token nor the step's."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from embedded_auth import ROOT, Office, server
from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.launcher.config import InputConfig, StepConfig, dumps
from tests.waiting import PATIENCE

#: User code that writes to `out` its environment, all processes' arguments, and S3's answers and refusals.
LOOK = """
import glob, json, os, urllib.error, urllib.request
import boto3
from botocore.exceptions import ClientError

seen = [json.dumps(dict(os.environ))]
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        seen.append(open(path, "rb").read().decode(errors="replace"))
    except OSError:
        pass
answers = []
s3 = boto3.client("s3")
s3.meta.events.register("after-call.s3", lambda http_response, parsed, **_: answers.append(
    repr(dict(http_response.headers)) + repr(parsed) + repr(http_response.content)))
for call in (
    s3.list_buckets,
    lambda: s3.list_objects_v2(Bucket="images"),
    lambda: s3.head_object(Bucket="images", Key="none"),
    lambda: s3.put_object(Bucket="images", Key="a", Body=b""),
    lambda: s3.put_object(Bucket="out", Key="a*", Body=b""),
    lambda: s3.get_bucket_acl(Bucket="nope"),
):
    try:
        call()
    except ClientError as error:
        answers.append(repr(error.response))
try:
    urllib.request.urlopen(os.environ["S3_ENDPOINT"] + "/images?list-type=2")
except urllib.error.HTTPError as error:
    answers.append(f"{error.code} {error.headers} {error.read()}")
assert len(answers) > 10
s3.put_object(Bucket="out", Key="seen", Body=json.dumps([*seen, *answers]).encode())
assert any("kfp_pachyderm.adapter" in one for one in seen[1:])
"""


def test_no_token_is_shown_to_user_code(tmp_path):
    with server(tmp_path / "data", "--auth", KFP_PACHYDERM_ROOT_TOKEN=ROOT) as address:
        office = Office(address)
        repo = office.repo()
        token, _ = office.robot(**{f"default/{repo.name}": "repoWriter", "default": "projectWriter"})
        config = StepConfig(
            component="look",
            name="look",
            project="default",
            inputs=(InputConfig("images", repo.name, project="default"),),
            timeout=PATIENCE,
        )
        outputs = {
            "parameters": {"commit": {"outputFile": str(tmp_path / "commit")}},
            "artifacts": {"pachyderm": {"artifacts": [{"name": "p", "uri": str(tmp_path / "pachyderm")}]}},
            "outputFile": str(tmp_path / "executor_output.json"),
        }
        request = json.dumps({"inputs": {"parameterValues": {}}, "outputs": outputs})
        command = [sys.executable, "-m", "kfp_pachyderm.launcher", dumps(config), "--executor-input", request]
        done = subprocess.run(
            [*command, "--", sys.executable, "-c", LOOK],
            env=os.environ | {"KFP_PACHYDERM_ADDRESS": address, "KFP_PACHYDERM_TOKEN": token},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        pipeline = pps.Pipeline(name="look", project=pfs.Project(name="default"))
        (job,) = office.root.pps.list_job(pipeline=pipeline, history=-1, details=True)
        info = office.root.pps.inspect_job(job=job.job, details=True)
        assert info.auth_token
        repo = pfs.Repo(name="look", type="user", project=pipeline.project)
        file = pfs.File(commit=pfs.Commit(repo=repo, id=job.job.id), path="/seen")
        seen = b"".join(one.value for one in office.root.pfs.get_file(file=file)).decode()
        written = "".join(path.read_text() for path in tmp_path.iterdir() if path.is_file())
        for secret in (info.auth_token, token):
            assert secret not in seen + done.stdout + done.stderr + written
