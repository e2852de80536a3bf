"""Pachyderm's roles and their permissions (src/server/auth/server/roles.go)."""

from __future__ import annotations

from dataclasses import dataclass

CLUSTER, PROJECT, REPO, SPEC_REPO, JOB = "CLUSTER", "PROJECT", "REPO", "SPEC_REPO", "JOB"


@dataclass(frozen=True)
class Role:
    """A named set of permissions.

    Args:
        permissions: their names in pachyderm_sdk's enum.
        bound_to: kinds of resources that it can be bound to.
        returned_for: kinds of resources for which GetPermissions names it.
    """

    permissions: tuple[str, ...]
    bound_to: tuple[str, ...]
    returned_for: tuple[str, ...]


_READER = (
    "REPO_READ", "REPO_INSPECT_COMMIT", "REPO_LIST_COMMIT", "REPO_LIST_BRANCH", "REPO_LIST_FILE",
    "REPO_INSPECT_FILE", "REPO_ADD_PIPELINE_READER", "REPO_REMOVE_PIPELINE_READER", "PIPELINE_LIST_JOB",
)  # fmt: skip
_WRITER = (
    *_READER, "REPO_WRITE", "REPO_DELETE_COMMIT", "REPO_CREATE_BRANCH", "REPO_DELETE_BRANCH",
    "REPO_ADD_PIPELINE_WRITER",
)  # fmt: skip
_OWNER = (*_WRITER, "REPO_MODIFY_BINDINGS", "REPO_DELETE")
_PROJECT_VIEWER = ("PROJECT_LIST_REPO",)
_PROJECT_WRITER = (*_PROJECT_VIEWER, "PROJECT_CREATE_REPO")
_PROJECT_OWNER = (
    *_OWNER, *_PROJECT_WRITER, "PROJECT_DELETE", "PROJECT_MODIFY_BINDINGS", "PROJECT_SET_DEFAULTS",
)  # fmt: skip
_OIDC = tuple(f"CLUSTER_IDENTITY_{end}" for end in (
    "DELETE_OIDC_CLIENT", "CREATE_OIDC_CLIENT", "UPDATE_OIDC_CLIENT", "LIST_OIDC_CLIENTS", "GET_OIDC_CLIENT",
))  # fmt: skip
_IDP = tuple(
    f"CLUSTER_IDENTITY_{end}" for end in ("CREATE_IDP", "UPDATE_IDP", "LIST_IDPS", "GET_IDP", "DELETE_IDP")
)
_IDENTITY = ("CLUSTER_IDENTITY_SET_CONFIG", "CLUSTER_IDENTITY_GET_CONFIG")
_DEBUGGER = ("CLUSTER_DEBUG_DUMP", "CLUSTER_GET_PACHD_LOGS", "CLUSTER_GET_LOKI_LOGS")
_LICENSE = tuple(f"CLUSTER_LICENSE_{end}" for end in (
    "ACTIVATE", "GET_CODE", "ADD_CLUSTER", "UPDATE_CLUSTER", "DELETE_CLUSTER", "LIST_CLUSTERS",
))  # fmt: skip
_SECRETS = ("CLUSTER_CREATE_SECRET", "CLUSTER_LIST_SECRETS", "SECRET_INSPECT", "SECRET_DELETE")
_ADMIN = tuple(f"CLUSTER_{end}" for end in (
    "MODIFY_BINDINGS", "GET_BINDINGS", "AUTH_ACTIVATE", "AUTH_DEACTIVATE", "AUTH_GET_CONFIG",
    "AUTH_SET_CONFIG", "AUTH_MODIFY_GROUP_MEMBERS", "AUTH_GET_GROUPS", "AUTH_GET_GROUP_USERS",
    "AUTH_EXTRACT_TOKENS", "AUTH_RESTORE_TOKEN", "AUTH_ROTATE_ROOT_TOKEN", "AUTH_DELETE_EXPIRED_TOKENS",
    "AUTH_GET_PERMISSIONS_FOR_PRINCIPAL", "AUTH_REVOKE_USER_TOKENS", "ENTERPRISE_ACTIVATE",
    "ENTERPRISE_HEARTBEAT", "ENTERPRISE_GET_CODE", "ENTERPRISE_DEACTIVATE", "DELETE_ALL", "ENTERPRISE_PAUSE",
    "SET_DEFAULTS", "EDIT_CLUSTER_METADATA", "SNAPSHOTTER", "RESTART_PACHYDERM",
))  # fmt: skip
_ROBOT = ("CLUSTER_AUTH_GET_ROBOT_TOKEN",)


def _of_cluster(*permissions: str) -> Role:
    return Role(permissions, (CLUSTER,), (CLUSTER,))


def _of_repo(*permissions: str) -> Role:
    return Role(permissions, (CLUSTER, PROJECT, REPO), (REPO,))


def _all() -> tuple[str, ...]:
    parts = (
        _OWNER, _OIDC, _IDP, _IDENTITY, _DEBUGGER, _ROBOT, _LICENSE, _SECRETS, _PROJECT_OWNER,
        ("PROJECT_CREATE", "JOB_SKIP_CTX"), _ADMIN,
    )  # fmt: skip
    return tuple(dict.fromkeys(name for part in parts for name in part))


ROLES: dict[str, Role] = {
    "repoReader": _of_repo(*_READER),
    "repoWriter": _of_repo(*_WRITER),
    "repoOwner": _of_repo(*_OWNER),
    "oidcAppAdmin": _of_cluster(*_OIDC),
    "idpAdmin": _of_cluster(*_IDP),
    "identityAdmin": _of_cluster(*_IDENTITY),
    "jobAdmin": Role(("JOB_SKIP_CTX",), (JOB, CLUSTER), (JOB, CLUSTER)),
    "debugger": _of_cluster(*_DEBUGGER),
    "lokiLogReader": _of_cluster("CLUSTER_GET_LOKI_LOGS"),
    "robotUser": _of_cluster(*_ROBOT),
    "licenseAdmin": _of_cluster(*_LICENSE),
    "secretAdmin": _of_cluster(*_SECRETS),
    "pachdLogReader": _of_cluster("CLUSTER_GET_PACHD_LOGS"),
    "projectViewer": Role(_PROJECT_VIEWER, (CLUSTER, PROJECT), (PROJECT,)),
    "projectWriter": Role(_PROJECT_WRITER, (CLUSTER, PROJECT), (PROJECT,)),
    "projectOwner": Role(_PROJECT_OWNER, (CLUSTER, PROJECT), (PROJECT, REPO)),
    "projectCreator": _of_cluster("PROJECT_CREATE"),
    "clusterAdmin": Role(_all(), (CLUSTER,), (CLUSTER, PROJECT, REPO)),
}
