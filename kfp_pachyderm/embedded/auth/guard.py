"""The caller of the running gRPC call or S3 request, and the checks of the caller's permissions."""

from __future__ import annotations

import sqlite3
from contextvars import ContextVar
from dataclasses import dataclass

from kfp_pachyderm.embedded.auth import state
from kfp_pachyderm.embedded.auth.roles import PROJECT
from kfp_pachyderm.embedded.auth.state import THE_CLUSTER, Resource
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.store.sqlite.database import Txn


@dataclass(frozen=True)
class Caller:
    """The caller of a call, with auth on.

    Args:
        name: the principal ("robot:kfp"); "" if the token is nobody's.
        problem: why there is no principal; the first check raises it.
        expires: when the token expires, in microseconds since 1970.
    """

    name: str = ""
    problem: Refused | None = None
    expires: int | None = None

    def known(self) -> str:
        """The principal's name.

        Raises:
            Refused: the call has no principal.
        """
        if self.problem is not None:
            raise self.problem
        return self.name


#: None: auth is off, or the thread is one of the server's own, which never pass the gate.
_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def enter(caller: Caller | None) -> None:
    """Sets the caller for whom this thread works until its next call."""
    _CALLER.set(caller)


def caller() -> Caller | None:
    """The caller for whom this thread works; None: no permission has to be checked."""
    return _CALLER.get()


def signed_in(db: sqlite3.Connection, token: str | None) -> Caller:
    """The caller of a call with this token; `token` None: the call has no token."""
    if token is None:
        return Caller(problem=state.NO_TOKEN)
    try:
        subject = state.identify(db, token)
    except Refused as error:
        return Caller(problem=error)
    return Caller(subject.name, expires=subject.expires)


def check(db: sqlite3.Connection, resource: Resource, *permissions: str) -> None:
    """Refuses a caller who lacks any of the permissions, in Pachyderm's words (src/auth/auth.go).

    Raises:
        Refused: the caller is not signed in, or not authorized.
    """
    found = caller()
    if found is not None and state.missing(db, found.known(), resource, permissions):
        raise Refused(
            f"{found.name} is not authorized to perform this operation - needs permissions "
            f"[{' '.join(permissions)}] on {resource}. Run `pachctl auth roles-for-permission` to find "
            "roles that grant a given permission.",
            "PERMISSION_DENIED",
        )


def check_cluster(db: sqlite3.Connection, *permissions: str) -> None:
    """`check` for the cluster."""
    check(db, THE_CLUSTER, *permissions)


def check_project(db: sqlite3.Connection, name: str, *permissions: str) -> None:
    """`check` for a project."""
    check(db, Resource(PROJECT, name), *permissions)


def check_repo(db: sqlite3.Connection, key: RepoKey, *permissions: str) -> None:
    """`check` for a repo."""
    check(db, state.of_repo(key), *permissions)


def may(db: sqlite3.Connection, resource: Resource, *permissions: str) -> bool:
    """Whether the caller has all of the permissions; raises as `check` if the caller is not signed in."""
    try:
        check(db, resource, *permissions)
    except Refused as error:
        if error.code != "PERMISSION_DENIED":
            raise
        return False
    return True


def may_list(db: sqlite3.Connection, key: RepoKey) -> bool:
    """Whether lists show the caller a repo: by PROJECT_LIST_REPO on its project, or by REPO_READ on it."""
    return may(db, Resource(PROJECT, key.project), "PROJECT_LIST_REPO") or may(
        db, state.of_repo(key), "REPO_READ"
    )


def own(txn: Txn, resource: Resource, role: str) -> None:
    """Gives the caller a role on a new resource; without a caller, makes an empty binding if auth is on."""
    found = caller()
    if found is not None:
        state.create_binding(txn, resource, found.known(), role)
    elif state.active(txn.db):
        state.create_binding(txn, resource)
