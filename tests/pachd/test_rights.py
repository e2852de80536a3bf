"""The rights that a token has, as pachd tells them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kfp_pachyderm.errors import AuthenticationError
from kfp_pachyderm.pachd.pipeline_plan import check_rights
from kfp_pachyderm.pachd.sdk import auth, pfs

_PLAN: Any = SimpleNamespace(project="team", name="edges")
NEWER = 9999


def connection(*permissions: int) -> Any:
    """A connection to a later pachd, which can't be had: it tells a permission without a name."""
    info = pfs.RepoInfo(auth_info=pfs.AuthInfo(permissions=list(permissions)))
    return SimpleNamespace(
        address=SimpleNamespace(token="token", url="grpc://pachd"),
        pfs=SimpleNamespace(inspect_repo=lambda **_: info),
    )


def test_permissions_of_a_later_pachd_are_no_error() -> None:
    check_rights(connection(NEWER, auth.Permission.PIPELINE_LIST_JOB, auth.Permission.REPO_WRITE), _PLAN)


def test_missing_permissions_are_named() -> None:
    with pytest.raises(AuthenticationError, match=r"needs permissions \[REPO_WRITE\]"):
        check_rights(connection(NEWER, auth.Permission.PIPELINE_LIST_JOB), _PLAN)
