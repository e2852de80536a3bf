"""The pytest plugin: it provides the fixture `pachyderm`, a fresh embedded Pachyderm for every test.

pytest finds the plugin where the package is installed, so tests import nothing:

    def test_edges(pachyderm):
        images = pachyderm.put("images", {"a.png": b"..."})
        found = edges(images=images)
        assert found.outputs["commit"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import pachyderm_sdk

    from kfp_pachyderm.embedded.process import FreshServers
    from kfp_pachyderm.local import LocalPachyderm


class Pachyderm:
    """The value of the fixture `pachyderm`: the embedded Pachyderm of one test.

    Args:
        local: the running embedded Pachyderm.

    Attributes:
        address: pachd's address, "grpc://127.0.0.1:<port>".
        client: a connected `pachyderm_sdk.Client`.
    """

    def __init__(self, local: LocalPachyderm) -> None:
        self.address: str = local.address
        self.client: pachyderm_sdk.Client = local.client

    def put(self, repo: str, files: Mapping[str, bytes | str]) -> str:
        """Adds files to the branch master of a repo, in one commit, and finishes the commit.

        A missing project or repo is created.

        Args:
            repo: "repo" or "project/repo"; the project is "default" when left out.
            files: path → content; a str is written as UTF-8.

        Returns:
            The commit's reference, "project/repo@<commit ID>", to be passed to a step.
        """
        from pachyderm_sdk.api import pfs

        project, _, name = repo.rpartition("/")
        where = pfs.Repo(name=name, type="user", project=pfs.Project(name=project or "default"))
        if not self.client.pfs.project_exists(where.project):
            self.client.pfs.create_project(project=where.project)
        if not self.client.pfs.repo_exists(where):
            self.client.pfs.create_repo(repo=where)
        with self.client.pfs.commit(branch=pfs.Branch(repo=where, name="master")) as commit:
            for path, content in files.items():
                data = content.encode() if isinstance(content, str) else content
                commit.put_file_from_bytes(path=path, data=data)
        self.client.pfs.wait_commit(commit)
        return f"{where.project.name}/{name}@{commit.id}"


@pytest.fixture(scope="session")
def _pachyderm_servers() -> Iterator[FreshServers]:
    from kfp_pachyderm.embedded.process import FreshServers

    with FreshServers() as servers:
        yield servers


@pytest.fixture
def pachyderm(tmp_path: Path, _pachyderm_servers: FreshServers) -> Iterator[Pachyderm]:
    """Starts a fresh embedded Pachyderm; the components and pipelines that the test calls run on it."""
    from kfp_pachyderm import local

    folder = tmp_path / "pachyderm"
    _pachyderm_servers.open(folder)
    # init() joins the server that already runs on the folder.
    with local.init(folder) as running:
        yield Pachyderm(running)
    _pachyderm_servers.close_current()
