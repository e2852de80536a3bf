"""Whom the running call is for, and whether that one may do what it does."""

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
    """Whoever a call is for, with auth on.

    Args:
        name: the principal ("robot:kfp"); "" if there is none.
        problem: why there is none; raised by the first check.
        expires: when the token expires, in microseconds since 1970.
    """

    name: str = ""
    problem: Refused | None = None
    expires: int | None = None

    def known(self) -> str:
        """The principal's name.

        Raises:
            Refused: there is none.
        """
        if self.problem is not None:
            raise self.problem
        return self.name


#: None: auth is off, or Pachyderm itself is at work (its threads never pass the gate).
_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def enter(caller: Caller | None) -> None:
    """Says whom this thread works for until it enters the next call."""
    _CALLER.set(caller)


def caller() -> Caller | None:
    """Whom this thread works for; None: nothing has to be checked."""
    return _CALLER.get()


def signed_in(db: sqlite3.Connection, token: str | None) -> Caller:
    """Whoever brings this token; None: it brings none."""
    if token is None:
        return Caller(problem=state.NO_TOKEN)
    try:
        subject = state.identify(db, token)
    except Refused as error:
        return Caller(problem=error)
    return Caller(subject.name, expires=subject.expires)


def check(db: sqlite3.Connection, resource: Resource, *permissions: str) -> None:
    """Refuses whom any of the permissions is missing, in Pachyderm's words (src/auth/auth.go).

    Raises:
        Refused: not signed in, or not authorized.
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
    """Whether `check` passes; only missing permissions make it False."""
    try:
        check(db, resource, *permissions)
    except Refused as error:
        if error.code != "PERMISSION_DENIED":
            raise
        return False
    return True


def may_list(db: sqlite3.Connection, key: RepoKey) -> bool:
    """Whether a repo is shown in lists: by its project, or by the right to read it."""
    return may(db, Resource(PROJECT, key.project), "PROJECT_LIST_REPO") or may(
        db, state.of_repo(key), "REPO_READ"
    )


def own(txn: Txn, resource: Resource, role: str) -> None:
    """Makes the caller the owner of a new resource."""
    found = caller()
    if found is not None:
        state.create_binding(txn, resource, found.known(), role)
    elif state.active(txn.db):
        state.create_binding(txn, resource)
