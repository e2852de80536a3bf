"""A pytest plugin: the fixture `pachyderm`, a fresh embedded Pachyderm for every test.

Installed with the package, nothing has to be imported:

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
    """What the fixture `pachyderm` is.

    Args:
        local: the running embedded Pachyderm.
    """

    def __init__(self, local: LocalPachyderm) -> None:
        self.address: str = local.address
        self.client: pachyderm_sdk.Client = local.client

    def put(self, repo: str, files: Mapping[str, bytes | str]) -> str:
        """Adds files to the branch master of a repo, which is made when missing, in one finished commit.

        Args:
            repo: "repo" or "project/repo".
            files: path → content; a text is written as UTF-8.

        Returns:
            The commit's reference, to be passed to a step.
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
    """A fresh embedded Pachyderm; components and pipelines that the test calls run on it."""
    from kfp_pachyderm import local

    folder = tmp_path / "pachyderm"
    _pachyderm_servers.open(folder)
    # It joins the server that runs on the folder.
    with local.init(folder) as running:
        yield Pachyderm(running)
    _pachyderm_servers.close_current()
