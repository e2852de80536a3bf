"""auth_v2.API, as far as S3 pipelines need it; there is no login by OIDC.

Source: Pachyderm src/server/auth/server/api_server.go.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pachyderm_sdk.api import auth

from kfp_pachyderm.embedded.auth import guard, state
from kfp_pachyderm.embedded.auth.roles import CLUSTER, PROJECT, REPO, ROLES
from kfp_pachyderm.embedded.auth.startup import TOKEN_VARIABLE
from kfp_pachyderm.embedded.auth.state import Resource
from kfp_pachyderm.embedded.services import handlers, messages
from kfp_pachyderm.embedded.services.handlers import Context
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.store import Store

_PREFIXES = ("pipeline:", "internal:", "robot:", "pach:", "user:", "group:")
_ABSENT = (
    "SetConfiguration", "Authenticate", "GetOIDCLogin", "ExtractAuthTokens", "RestoreAuthToken",
)  # fmt: skip


class AuthService:
    """Tokens, roles, groups.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def calls(self) -> handlers.Calls:
        """The calls by their names on the wire."""
        unary = handlers.unary
        return {name: _absent(name) for name in _ABSENT} | {
            "Activate": unary(self._activate, auth.ActivateRequest),
            "Deactivate": unary(self._deactivate, auth.DeactivateRequest),
            "RotateRootToken": unary(self._rotate, auth.RotateRootTokenRequest),
            "WhoAmI": unary(self._who_am_i, auth.WhoAmIRequest),
            "GetConfiguration": unary(self._configuration, auth.GetConfigurationRequest),
            "Authorize": unary(self._authorize, auth.AuthorizeRequest),
            "GetPermissions": unary(self._permissions, auth.GetPermissionsRequest),
            "GetPermissionsForPrincipal": unary(
                self._permissions_for, auth.GetPermissionsForPrincipalRequest
            ),
            "GetRolesForPermission": unary(self._roles_for, auth.GetRolesForPermissionRequest),
            "ModifyRoleBinding": unary(self._modify, auth.ModifyRoleBindingRequest),
            "GetRoleBinding": unary(self._binding, auth.GetRoleBindingRequest),
            "GetRobotToken": unary(self._robot_token, auth.GetRobotTokenRequest),
            "RevokeAuthToken": unary(self._revoke, auth.RevokeAuthTokenRequest),
            "RevokeAuthTokensForUser": unary(self._revoke_of, auth.RevokeAuthTokensForUserRequest),
            "DeleteExpiredAuthTokens": unary(self._delete_expired, auth.DeleteExpiredAuthTokensRequest),
            "SetGroupsForUser": unary(self._set_groups, auth.SetGroupsForUserRequest),
            "ModifyMembers": unary(self._modify_members, auth.ModifyMembersRequest),
            "GetGroups": unary(self._groups, auth.GetGroupsRequest),
            "GetGroupsForPrincipal": unary(self._groups_of, auth.GetGroupsForPrincipalRequest),
            "GetUsers": unary(self._users, auth.GetUsersRequest),
        }

    def _activate(self, request: auth.ActivateRequest, _: Context) -> auth.ActivateResponse:
        with self._store.database.write() as txn:
            return auth.ActivateResponse(pach_token=state.activate(txn, request.root_token))

    def _deactivate(self, _: Any, __: Context) -> auth.DeactivateResponse:
        with self._store.database.write() as txn:
            state.deactivate(txn)
        return auth.DeactivateResponse()

    def _rotate(self, request: auth.RotateRootTokenRequest, _: Context) -> auth.RotateRootTokenResponse:
        if os.environ.get(TOKEN_VARIABLE):
            raise Refused(
                "RotateRootToken() is disabled when the root token is configured in the environment"
            )
        with self._store.database.write() as txn:
            state.revoke_of(txn, state.ROOT)
            token = state.add_token(txn, state.ROOT, request.root_token)
        return auth.RotateRootTokenResponse(root_token=token)

    def _who_am_i(self, _: Any, __: Context) -> auth.WhoAmIResponse:
        caller = guard.caller() or guard.Caller(problem=state.NOT_ACTIVE)
        answer = auth.WhoAmIResponse(username=caller.known())
        if caller.expires is not None:
            answer.expiration = messages.timestamp(caller.expires)
        return answer

    def _configuration(self, _: Any, __: Context) -> auth.GetConfigurationResponse:
        return auth.GetConfigurationResponse(configuration=auth.OidcConfig())

    def _authorize(self, request: auth.AuthorizeRequest, _: Context) -> auth.AuthorizeResponse:
        name = _caller()
        needed = {_name(auth.Permission, one): one for one in request.permissions}
        missing = state.missing(self._store.read(), name, _resource(request.resource), tuple(needed))
        return auth.AuthorizeResponse(
            principal=name,
            authorized=not missing,
            missing=[needed[one] for one in missing],
            satisfied=[number for one, number in needed.items() if one not in missing],
        )

    def _permissions(self, request: auth.GetPermissionsRequest, _: Context) -> auth.GetPermissionsResponse:
        return permissions(self._store, _caller(), _resource(request.resource))

    def _permissions_for(
        self, request: auth.GetPermissionsForPrincipalRequest, _: Context
    ) -> auth.GetPermissionsResponse:
        return permissions(self._store, request.principal, _resource(request.resource))

    def _roles_for(
        self, request: auth.GetRolesForPermissionRequest, _: Context
    ) -> auth.GetRolesForPermissionResponse:
        wanted = _name(auth.Permission, request.permission)
        found = [_role(name) for name, role in ROLES.items() if wanted in role.permissions]
        return auth.GetRolesForPermissionResponse(roles=found)

    def _modify(self, request: auth.ModifyRoleBindingRequest, _: Context) -> auth.ModifyRoleBindingResponse:
        resource, principal = _resource(request.resource), request.principal
        _check_subject(principal)
        if principal.startswith("pach:") and resource.kind == CLUSTER:
            raise Refused("cannot modify cluster role bindings for pach: users")
        if resource.kind not in (CLUSTER, PROJECT, REPO):
            raise Refused(f"unknown resource type {resource.kind}")
        with self._store.database.write() as txn:
            guard.check(txn.db, resource, f"{resource.kind}_MODIFY_BINDINGS")
            state.bind(txn, resource, principal, list(dict.fromkeys(request.roles)))
        return auth.ModifyRoleBindingResponse()

    def _binding(self, request: auth.GetRoleBindingRequest, _: Context) -> auth.GetRoleBindingResponse:
        found = state.binding(self._store.read(), _resource(request.resource)) or {}
        entries = {name: auth.Roles(roles=dict.fromkeys(given, True)) for name, given in found.items()}
        return auth.GetRoleBindingResponse(binding=auth.RoleBinding(entries=entries))

    def _robot_token(self, request: auth.GetRobotTokenRequest, _: Context) -> auth.GetRobotTokenResponse:
        name = request.robot.removeprefix("robot:")
        if ":" in name:
            raise Refused("robot names cannot contain colons (':')")
        with self._store.database.write() as txn:
            return auth.GetRobotTokenResponse(token=state.add_token(txn, f"robot:{name}", ttl=request.ttl))

    def _revoke(self, request: auth.RevokeAuthTokenRequest, _: Context) -> auth.RevokeAuthTokenResponse:
        with self._store.database.write() as txn:
            return auth.RevokeAuthTokenResponse(number=state.revoke(txn, request.token))

    def _revoke_of(
        self, request: auth.RevokeAuthTokensForUserRequest, _: Context
    ) -> auth.RevokeAuthTokensForUserResponse:
        with self._store.database.write() as txn:
            return auth.RevokeAuthTokensForUserResponse(number=state.revoke_of(txn, request.username))

    def _delete_expired(self, _: Any, __: Context) -> auth.DeleteExpiredAuthTokensResponse:
        with self._store.database.write() as txn:
            txn.db.execute("DELETE FROM auth_tokens WHERE expires < ?", (txn.now,))
        return auth.DeleteExpiredAuthTokensResponse()

    def _set_groups(self, request: auth.SetGroupsForUserRequest, _: Context) -> auth.SetGroupsForUserResponse:
        _check_subject(request.username)
        with self._store.database.write() as txn:
            txn.db.execute("DELETE FROM auth_groups WHERE member = ?", (request.username,))
            rows = ((request.username, name) for name in request.groups)
            txn.db.executemany("INSERT OR IGNORE INTO auth_groups VALUES (?, ?)", rows)
        return auth.SetGroupsForUserResponse()

    def _modify_members(self, request: auth.ModifyMembersRequest, _: Context) -> auth.ModifyMembersResponse:
        for name in (*request.add, *request.remove):
            _check_subject(name)
        with self._store.database.write() as txn:
            added = ((name, request.group) for name in request.add)
            txn.db.executemany("INSERT OR IGNORE INTO auth_groups VALUES (?, ?)", added)
            gone = ((name, request.group) for name in request.remove)
            txn.db.executemany("DELETE FROM auth_groups WHERE (member, name) = (?, ?)", gone)
        return auth.ModifyMembersResponse()

    def _groups(self, _: Any, __: Context) -> auth.GetGroupsResponse:
        return auth.GetGroupsResponse(groups=state.groups(self._store.read(), _caller()))

    def _groups_of(self, request: auth.GetGroupsForPrincipalRequest, _: Context) -> auth.GetGroupsResponse:
        return auth.GetGroupsResponse(groups=state.groups(self._store.read(), request.principal))

    def _users(self, request: auth.GetUsersRequest, _: Context) -> auth.GetUsersResponse:
        query = "SELECT DISTINCT member FROM auth_groups WHERE ? IN ('', name) ORDER BY member"
        rows = self._store.read().execute(query, (request.group,))
        return auth.GetUsersResponse(usernames=[row[0] for row in rows])


def activation_calls(
    store: Store, bind_existing: Callable[[Any], None], response: type[Any]
) -> handlers.Calls:
    """ActivateAuth of a service, which binds roles to what is older than the activation of auth."""

    def activate(_: Any, __: Context) -> Any:
        with store.database.write() as txn:
            bind_existing(txn)
        return response()

    return {"ActivateAuth": handlers.Call(activate, handlers.already_bytes)}


def permissions(store: Store, principal: str, resource: Resource) -> auth.GetPermissionsResponse:
    """The roles of a principal that are shown for a kind of resource, and the permissions of those roles."""
    found = state.roles_on(store.read(), principal, resource)
    shown = sorted(name for name in found if resource.kind in ROLES[name].returned_for)
    names = [one for role in shown for one in ROLES[role].permissions]
    return auth.GetPermissionsResponse(permissions=[auth.Permission[one] for one in names], roles=shown)


def _absent(name: str) -> handlers.Call:
    def refuse(_: Any, __: Context) -> bytes:
        raise Refused(f"auth_v2.API/{name} is not implemented by the embedded Pachyderm", "UNIMPLEMENTED")

    return handlers.Call(refuse, handlers.already_bytes, write=handlers.already_bytes)


def _caller() -> str:
    return (guard.caller() or guard.Caller(problem=state.NOT_ACTIVE)).known()


def _resource(given: auth.Resource) -> Resource:
    return Resource(_name(auth.ResourceType, given.type), "" if given.type == 1 else given.name)


def _name(kind: type[auth.Permission] | type[auth.ResourceType], number: int) -> str:
    """A number's name; if it has none, the number, as Go's messages write it."""
    try:
        return str(kind(number).name)
    except ValueError:
        return str(number)


def _role(name: str) -> auth.Role:
    role = ROLES[name]
    return auth.Role(
        name=name,
        permissions=[auth.Permission[one] for one in role.permissions],
        can_be_bound_to=[auth.ResourceType[one] for one in role.bound_to],
        returned_for=[auth.ResourceType[one] for one in role.returned_for],
    )


def _check_subject(name: str) -> None:
    if name == state.EVERYBODY or name.startswith(_PREFIXES):
        return
    if ":" not in name:
        raise Refused("subject has no prefix, must be of the form <type>:<name>")
    raise Refused(f"subject has unrecognized prefix: {name.partition(':')[0]}:")
