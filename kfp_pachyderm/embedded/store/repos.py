"""Projects and repos."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from kfp_pachyderm.embedded.status import Refused, exists, not_found
from kfp_pachyderm.embedded.store.sqlite.database import Txn

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_PROJECT_LIMIT = 51


class RepoKey(NamedTuple):
    """A repo's full name; its text is that of Pachyderm's Repo.String (src/pfs/pfs.go)."""

    project: str
    name: str
    type: str = "user"

    def __str__(self) -> str:
        suffix = "" if self.type == "user" else f".{self.type}"
        return f"{self.project}/{self.name}{suffix}"


@dataclass(frozen=True)
class Project:
    """A row of `projects`."""

    name: str
    description: str
    created: int
    metadata: dict[str, str]


@dataclass(frozen=True)
class Repo:
    """A row of `repos`."""

    id: int
    key: RepoKey
    description: str
    created: int
    metadata: dict[str, str]


def check_name(name: str) -> None:
    """Refuses a name that breaks Pachyderm's rule (src/internal/ancestry/ancestry.go)."""
    if not _NAME.fullmatch(name):
        raise Refused(
            f"name ({name}) invalid: only alphanumeric characters, underscores, and dashes are allowed"
        )


def create_project(txn: Txn, name: str, description: str = "", update: bool = False) -> None:
    """Makes a project, or sets its description (src/server/pfs/server/server_project.go)."""
    _check_project_name(name)
    if find_project(txn.db, name) is None:
        row = (name, description, txn.now)
        txn.db.execute("INSERT INTO projects (name, description, created) VALUES (?, ?, ?)", row)
    elif update:
        txn.db.execute("UPDATE projects SET description = ? WHERE name = ?", (description, name))
    else:
        raise exists(f"project {name} already exists")


def _check_project_name(name: str) -> None:
    if name == "default":
        return
    if len(name) > _PROJECT_LIMIT:
        over = len(name) - _PROJECT_LIMIT
        raise Refused(f'project name "{name}" is {over} characters longer than the {_PROJECT_LIMIT} max')
    check_name(name)
    if not name[0].isalnum():
        raise Refused("project names must start with an alphanumeric character")


def find_project(db: sqlite3.Connection, name: str) -> Project | None:
    """The project of that name, if there is one."""
    row = db.execute(
        "SELECT name, description, created, metadata FROM projects WHERE name = ?", (name,)
    ).fetchone()
    return Project(row[0], row[1], row[2], json.loads(row[3])) if row else None


def get_project(db: sqlite3.Connection, name: str) -> Project:
    """The project of that name."""
    project = find_project(db, name)
    if project is None:
        raise not_found(f'project "{name}" not found')
    return project


def list_projects(db: sqlite3.Connection) -> list[Project]:
    """All projects, oldest first."""
    rows = db.execute("SELECT name, description, created, metadata FROM projects ORDER BY created, name")
    return [Project(row[0], row[1], row[2], json.loads(row[3])) for row in rows]


def create_repo(txn: Txn, key: RepoKey, description: str = "", update: bool = False) -> None:
    """Makes a repo, or sets its description (src/server/pfs/server/server_repo.go)."""
    check_name(key.name)
    if find_project(txn.db, key.project) is None:
        raise not_found(f'cannot find project "{key.project}": project "{key.project}" not found')
    if find_repo(txn.db, key) is None:
        row = (*key, description, txn.now)
        txn.db.execute(
            "INSERT INTO repos (project, name, type, description, created) VALUES (?, ?, ?, ?, ?)", row
        )
    elif update:
        txn.db.execute(
            "UPDATE repos SET description = ? WHERE (project, name, type) = (?, ?, ?)", (description, *key)
        )
    else:
        raise exists(f"repo {key} already exists")


_REPO = "SELECT id, project, name, type, description, created, metadata FROM repos"


def _repo(row: tuple[int, str, str, str, str, int, str]) -> Repo:
    return Repo(row[0], RepoKey(row[1], row[2], row[3]), row[4], row[5], json.loads(row[6]))


def find_repo(db: sqlite3.Connection, key: RepoKey) -> Repo | None:
    """The repo of that name, if there is one."""
    row = db.execute(f"{_REPO} WHERE (project, name, type) = (?, ?, ?)", key).fetchone()
    return _repo(row) if row else None


def get_repo(db: sqlite3.Connection, key: RepoKey) -> Repo:
    """The repo of that name."""
    repo = find_repo(db, key)
    if repo is None:
        raise not_found(f"repo {key} not found")
    return repo


def repo_by_id(db: sqlite3.Connection, repo_id: int) -> Repo:
    """The repo with that row ID."""
    return _repo(db.execute(f"{_REPO} WHERE id = ?", (repo_id,)).fetchone())


def list_repos(db: sqlite3.Connection, type_: str = "", projects: list[str] | None = None) -> list[Repo]:
    """Repos, newest first. `type_` "": of all types; `projects` None: of all projects."""
    found = [_repo(row) for row in db.execute(f"{_REPO} ORDER BY id DESC")]
    return [
        repo
        for repo in found
        if type_ in ("", repo.key.type) and (not projects or repo.key.project in projects)
    ]
