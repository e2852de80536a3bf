"""Helpers of the trigger's tests for repos and runs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from kfp_pachyderm.pachd.references import Reference, commit_message, repo_message
from kfp_pachyderm.pachd.sdk import pfs
from tests.waiting import PATIENCE


def make_repo(pachd, repo, project="default"):
    pachd.pfs.create_repo(repo=repo_message(project, repo))


def put(pachd, repo, branch="master", error="", project="default"):
    where = pfs.Branch(repo=repo_message(project, repo), name=branch)
    commit = pachd.pfs.start_commit(branch=where)
    file = pfs.AddFile(path="/a", raw=commit.id.encode())
    pachd.pfs.modify_file(
        iter([pfs.ModifyFileRequest(set_commit=commit), pfs.ModifyFileRequest(add_file=file)])
    )
    pachd.pfs.finish_commit(commit=commit, error=error, force=bool(error))
    return f"{project}/{repo}@{commit.id}"


def started(api):
    """The commits that runs were started with, in their order."""
    return [one["runtime_config"]["parameters"]["images"] for one in api.runs]


def metadata(pachd, commit):
    project, _, rest = commit.partition("/")
    repo, _, version = rest.partition("@")
    info = pachd.pfs.inspect_commit(commit=commit_message(Reference(project, repo, version)))
    return dict(info.metadata)


class Trigger:
    """`kfp-pachyderm trigger` as a process."""

    def __init__(self, server, kfp_url, lease, *arguments, **env):
        code = (
            f"from kfp_pachyderm import cli; from kfp_pachyderm.trigger import start; start.LEASE = {lease}"
        )
        code += "; cli.main()"
        command = [sys.executable, "-c", code, "trigger", *arguments, "--address", server, "--kfp", kfp_url]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            print(line, end="")
            self.lines.append(line)

    def said(self, text):
        return any(text in line for line in self.lines)

    def end(self, kill=False):
        if self.process.poll() is None:
            (self.process.kill if kill else self.process.terminate)()
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()
        return code
