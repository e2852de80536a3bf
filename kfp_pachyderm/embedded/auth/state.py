"""Tokens and role bindings in the store. A job's token is a column of the job's row.

Source: Pachyderm src/server/auth/server/api_server.go, src/internal/authdb.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.auth.roles import CLUSTER, PROJECT, REPO, ROLES, SPEC_REPO
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Txn, new_id, now

ROOT = "pach:root"
EVERYBODY = "allClusterUsers"

NOT_ACTIVE = Refused("the auth service is not activated", "UNIMPLEMENTED")
NO_TOKEN = Refused("no authentication token (try logging in)", "UNAUTHENTICATED")
BAD_TOKEN = Refused(
    "provided auth token is corrupted or has expired (try logging in again)", "UNAUTHENTICATED"
)

# entries: principal → roles, as JSON.
_TABLES = (
    """CREATE TABLE IF NOT EXISTS auth_tokens (
      hash TEXT PRIMARY KEY, subject TEXT NOT NULL, expires INTEGER) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS auth_bindings (
      resource TEXT PRIMARY KEY, entries TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS auth_groups (
      member TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (member, name)) WITHOUT ROWID""",
    """CREATE TRIGGER IF NOT EXISTS auth_repo_gone AFTER DELETE ON repos WHEN OLD.type = 'user' BEGIN
      DELETE FROM auth_bindings WHERE resource = 'REPO:' || OLD.project || '/' || OLD.name; END""",
    """CREATE TRIGGER IF NOT EXISTS auth_project_gone AFTER DELETE ON projects BEGIN
      DELETE FROM auth_bindings WHERE resource = 'PROJECT:' || OLD.name; END""",
)


class Resource(NamedTuple):
    """What roles are bound to."""

    kind: str
    name: str = ""

    @property
    def key(self) -> str:
        """The resource's key in the store; a spec repo shares its user repo's."""
        return f"{REPO if self.kind == SPEC_REPO else self.kind}:{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


THE_CLUSTER = Resource(CLUSTER)


def of_repo(key: RepoKey) -> Resource:
    """A repo as a resource; a meta repo shares its user repo's binding."""
    return Resource(SPEC_REPO if key.type == "spec" else REPO, f"{key.project}/{key.name}")


@dataclass(frozen=True)
class Subject:
    """The principal of a token; `expires` in microseconds since 1970, None: never."""

    name: str
    expires: int | None = None


def prepare(txn: Txn) -> None:
    """Makes the tables when missing."""
    for statement in _TABLES:
        txn.db.execute(statement)


def active(db: sqlite3.Connection) -> bool:
    """Whether auth is on."""
    query = "SELECT 1 FROM auth_bindings WHERE resource = ?"
    return db.execute(query, (THE_CLUSTER.key,)).fetchone() is not None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def identify(db: sqlite3.Connection, token: str) -> Subject:
    """The principal of a token.

    Raises:
        Refused: the token is unknown, expired, revoked, or of a job that is over.
    """
    query = "SELECT subject, expires FROM auth_tokens WHERE hash = ?"
    row = db.execute(query, (_hash(token),)).fetchone()
    if row is None:
        return _job(db, token)
    if row[1] is not None and row[1] < now():
        raise Refused("token expiration is in the past", "INTERNAL")
    return Subject(*row)


def _job(db: sqlite3.Connection, token: str) -> Subject:
    # FinishJob revokes a job's token when the job becomes FINISHING (src/internal/ppsutil/util.go).
    query = "SELECT project, pipeline FROM jobs WHERE finished IS NULL AND state <> ? AND token = ?"
    values = (pps.JobState.JOB_FINISHING, token)
    row = db.execute(query, values).fetchone() if token else None
    if row is None:
        raise BAD_TOKEN
    return Subject(f"pipeline:{row[0]}/{row[1]}")


def add_token(txn: Txn, subject: str, token: str = "", ttl: int = 0) -> str:
    """Adds a principal's token, the given one or a new one, and returns it; `ttl` in seconds, 0: for ever."""
    token = token or new_id()
    expires = txn.now + ttl * 1_000_000 if ttl > 0 else None
    txn.db.execute("INSERT OR REPLACE INTO auth_tokens VALUES (?, ?, ?)", (_hash(token), subject, expires))
    return token


def revoke(txn: Txn, token: str) -> int:
    """Revokes a token; returns how many there were."""
    count = txn.db.execute("DELETE FROM auth_tokens WHERE hash = ?", (_hash(token),)).rowcount
    query = "UPDATE jobs SET token = '' WHERE finished IS NULL AND token = ?"
    return count + txn.db.execute(query, (token,)).rowcount if token else count


def revoke_of(txn: Txn, subject: str) -> int:
    """Revokes all tokens of a principal but those of jobs; returns how many there were."""
    return txn.db.execute("DELETE FROM auth_tokens WHERE subject = ?", (subject,)).rowcount


def binding(db: sqlite3.Connection, resource: Resource) -> dict[str, list[str]] | None:
    """A resource's binding, principal → roles; None: the resource was never bound."""
    row = db.execute("SELECT entries FROM auth_bindings WHERE resource = ?", (resource.key,)).fetchone()
    return json.loads(row[0]) if row else None


def _bound(db: sqlite3.Connection, resource: Resource) -> dict[str, list[str]]:
    found = binding(db, resource)
    if found is None:
        raise Refused(f"no role binding exists for {resource}")
    return found


def _put(txn: Txn, resource: Resource, entries: dict[str, list[str]]) -> None:
    row = (resource.key, json.dumps(entries))
    txn.db.execute("INSERT OR REPLACE INTO auth_bindings VALUES (?, ?)", row)


def create_binding(txn: Txn, resource: Resource, principal: str = "", *given: str) -> None:
    """Makes a new resource's binding; one that exists stays as it is."""
    if binding(txn.db, resource) is None:
        _put(txn, resource, {principal: list(given)} if principal else {})


def bind(txn: Txn, resource: Resource, principal: str, given: list[str]) -> None:
    """Sets a principal's roles on a resource; no roles: takes all away.

    Raises:
        Refused: there is no such role, or no such resource.
    """
    for role in given:
        if role not in ROLES:
            raise Refused(f'unknown role "{role}"')
    entries = _bound(txn.db, resource)
    entries.pop(principal, None)
    if given:
        entries[principal] = given
    _put(txn, resource, entries)


def groups(db: sqlite3.Connection, member: str) -> list[str]:
    """The groups of a principal."""
    query = "SELECT name FROM auth_groups WHERE member = ? ORDER BY name"
    return [row[0] for row in db.execute(query, (member,))]


def roles_on(db: sqlite3.Connection, principal: str, resource: Resource) -> list[str]:
    """All roles that a principal has on a resource, by the bindings of the cluster, the project and itself.

    Raises:
        Refused: the resource was never bound.
    """
    names = [principal, EVERYBODY, *groups(db, principal)]
    found = ["repoReader"] if resource.kind == SPEC_REPO else []
    for entries in _bindings(db, resource):
        found += [role for name in names for role in entries.get(name, [])]
    return list(dict.fromkeys(found))


def _bindings(db: sqlite3.Connection, resource: Resource) -> list[dict[str, list[str]]]:
    found = [_bound(db, THE_CLUSTER)]
    if resource.kind in (REPO, SPEC_REPO):
        found.append(_bound(db, Resource(PROJECT, resource.name.partition("/")[0])))
    if resource.kind != CLUSTER:
        found.append(_bound(db, resource))
    return found


def permissions_of(names: list[str]) -> set[str]:
    """The permissions of these roles."""
    return {one for name in names for one in ROLES[name].permissions}


def missing(db: sqlite3.Connection, principal: str, resource: Resource, needed: tuple[str, ...]) -> list[str]:
    """The needed permissions that a principal does not have.

    Raises:
        Refused: the resource was never bound, and the cluster's binding is not enough.
    """
    left = set(needed) - permissions_of(roles_on(db, principal, THE_CLUSTER))
    if resource.kind == SPEC_REPO:
        left -= set(ROLES["repoReader"].permissions)
    if left and resource.kind != CLUSTER:
        left -= permissions_of(roles_on(db, principal, resource))
    return [one for one in needed if one in left]


def activate(txn: Txn, token: str = "") -> str:
    """Turns auth on; returns the root token.

    Raises:
        Refused: auth is on.
    """
    if active(txn.db):
        raise Refused("the auth service is already activated", "UNIMPLEMENTED")
    admins = {ROOT: ["clusterAdmin"], "internal:auth-server": ["clusterAdmin"]}
    _put(txn, THE_CLUSTER, admins | {EVERYBODY: ["projectCreator"]})
    return add_token(txn, ROOT, token)


def bind_existing(txn: Txn) -> None:
    """Makes the bindings of projects and repos from before the activation (PFS's ActivateAuth)."""
    for (name,) in txn.db.execute("SELECT name FROM projects").fetchall():
        default = (EVERYBODY, "projectWriter") if name == "default" else ()
        create_binding(txn, Resource(PROJECT, name), *default)
    for row in txn.db.execute("SELECT project, name, type FROM repos").fetchall():
        create_binding(txn, of_repo(RepoKey(*row)))


def deactivate(txn: Txn) -> None:
    """Turns auth off; removes all tokens, bindings and groups."""
    for table in ("auth_bindings", "auth_tokens", "auth_groups"):
        txn.db.execute(f"DELETE FROM {table}")  # noqa: S608
    txn.db.execute("UPDATE jobs SET token = '' WHERE finished IS NULL")
