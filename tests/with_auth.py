"""An embedded Pachyderm with auth on, for whole pipelines: root puts the data, a robot runs the steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from pachyderm_sdk.api import pfs

from kfp_pachyderm import local
from kfp_pachyderm.testing import Pachyderm
from tests.embedded.embedded_auth import ROOT, Office, server


class GuardedPachyderm(Pachyderm):
    """The same as the fixture `pachyderm`, with auth on; `client` and `put` act as root.

    Args:
        running: the Pachyderm that the steps of this process use.
        office: root's administration of users and roles.
        robot: the user whose token the steps have. It has only the roles that `allow` gives.
    """

    def __init__(self, running: local.LocalPachyderm, office: Office, robot: str) -> None:
        super().__init__(running)
        self.office, self.robot = office, robot

    def allow(self, **roles: str) -> None:
        """Gives the robot roles on projects (`vision="projectWriter"`), and makes missing projects."""
        for name, role in roles.items():
            project = pfs.Project(name=name)
            if not self.client.pfs.project_exists(project):
                self.client.pfs.create_project(project=project)
            self.office.bind(self.robot, name, role)

    def put_for(self, role: str, repo: str, files: Mapping[str, bytes | str]) -> str:
        """Puts a file as `put` does, and gives the robot a role on its repo."""
        commit = self.put(repo, files)
        self.office.bind(self.robot, commit.partition("@")[0], role)
        return commit


@contextmanager
def guarded_pachyderm(folder: Path) -> Iterator[GuardedPachyderm]:
    """Runs a guarded Pachyderm on a folder. Steps of this process, and of its children, run as the robot."""
    root = {"KFP_PACHYDERM_ROOT_TOKEN": ROOT}
    with server(folder, "--auth", **root) as address, pytest.MonkeyPatch.context() as env:
        office = Office(address)
        token, client = office.robot()
        env.setenv("PACH_PYTHON_AUTH_TOKEN", ROOT)  # what Pachyderm's client reads when it is given no token
        env.setenv("KFP_PACHYDERM_TOKEN", token)
        with local.init(folder) as running:
            yield GuardedPachyderm(running, office, client.robot_name)
