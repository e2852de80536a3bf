"""Checks the caller of each gRPC call (Pachyderm src/internal/middleware/auth/interceptor.go)."""

from __future__ import annotations

from kfp_pachyderm.embedded.auth import guard, state
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.store.store import Store

#: Calls that need no token, or check it themselves.
_OPEN = frozenset(
    (
        "admin_v2.API/InspectCluster", "auth_v2.API/Activate", "auth_v2.API/Authenticate",
        "auth_v2.API/Authorize", "auth_v2.API/WhoAmI", "auth_v2.API/GetOIDCLogin",
        "enterprise_v2.API/GetState", "grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch",
        "pfs_v2.API/GetFileTAR", "versionpb_v2.API/GetVersion",
    )
)  # fmt: skip

#: Calls that need a permission on the cluster; all others need a valid token at least.
_ON_CLUSTER = {
    "auth_v2.API/GetGroupsForPrincipal": "CLUSTER_AUTH_GET_GROUPS",
    "auth_v2.API/GetPermissionsForPrincipal": "CLUSTER_AUTH_GET_PERMISSIONS_FOR_PRINCIPAL",
    "auth_v2.API/GetConfiguration": "CLUSTER_AUTH_GET_CONFIG",
    "auth_v2.API/SetConfiguration": "CLUSTER_AUTH_SET_CONFIG",
    "auth_v2.API/GetRobotToken": "CLUSTER_AUTH_GET_ROBOT_TOKEN",
    "auth_v2.API/SetGroupsForUser": "CLUSTER_AUTH_MODIFY_GROUP_MEMBERS",
    "auth_v2.API/ModifyMembers": "CLUSTER_AUTH_MODIFY_GROUP_MEMBERS",
    "auth_v2.API/GetUsers": "CLUSTER_AUTH_GET_GROUP_USERS",
    "auth_v2.API/ExtractAuthTokens": "CLUSTER_AUTH_EXTRACT_TOKENS",
    "auth_v2.API/RestoreAuthToken": "CLUSTER_AUTH_RESTORE_TOKEN",
    "auth_v2.API/Deactivate": "CLUSTER_AUTH_DEACTIVATE",
    "auth_v2.API/DeleteExpiredAuthTokens": "CLUSTER_AUTH_DELETE_EXPIRED_TOKENS",
    "auth_v2.API/RevokeAuthTokensForUser": "CLUSTER_AUTH_REVOKE_USER_TOKENS",
    "auth_v2.API/RotateRootToken": "CLUSTER_AUTH_ROTATE_ROOT_TOKEN",
    "pfs_v2.API/ActivateAuth": "CLUSTER_AUTH_ACTIVATE",
    "pfs_v2.API/CreateProject": "PROJECT_CREATE",
    "pfs_v2.API/SquashCommit": "REPO_DELETE_COMMIT",
    "pfs_v2.API/DropCommit": "REPO_DELETE_COMMIT",
    "pfs_v2.API/SquashCommitSet": "REPO_DELETE_COMMIT",
    "pfs_v2.API/DropCommitSet": "REPO_DELETE_COMMIT",
    "pps_v2.API/ActivateAuth": "CLUSTER_AUTH_ACTIVATE",
    "pps_v2.API/DeleteAll": "CLUSTER_DELETE_ALL",
    "pps_v2.API/CreateSecret": "CLUSTER_CREATE_SECRET",
    "pps_v2.API/ListSecret": "CLUSTER_LIST_SECRETS",
    "pps_v2.API/DeleteSecret": "SECRET_DELETE",
    "pps_v2.API/InspectSecret": "SECRET_INSPECT",
    "pps_v2.API/SetClusterDefaults": "CLUSTER_SET_DEFAULTS",
    "transaction_v2.API/DeleteAll": "CLUSTER_DELETE_ALL",
}

#: Calls outside of auth_v2.API that are refused with auth off.
_NEED_AUTH = ("pfs_v2.API/ActivateAuth", "pps_v2.API/ActivateAuth")


class Gate:
    """Lets a call in or refuses it, and sets its caller (`guard.enter`) for the checks inside of the call.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, method: str, context: Context) -> None:
        """Checks one call, in its thread, before it does anything.

        Raises:
            Refused: auth is off and the call is about auth; or auth is on and the caller may not make it.
        """
        db = self._store.read()
        guard.enter(None)
        if not state.active(db):
            about_auth = method.startswith("auth_v2.API/") or method in _NEED_AUTH
            if about_auth and method != "auth_v2.API/Activate":
                raise state.NOT_ACTIVE
            return
        caller = guard.signed_in(db, token(context))
        guard.enter(caller)
        if method not in _OPEN:
            caller.known()
        if method in _ON_CLUSTER:
            guard.check_cluster(db, _ON_CLUSTER[method])


def token(context: Context) -> str | None:
    """The token in a call's metadata."""
    found = (value for key, value in context.invocation_metadata() if key == "authn-token")
    value = next(found, None)
    return value.decode() if isinstance(value, bytes) else value
