"""A task's way to Pachyderm: its Secrets, by KFP's Kubernetes settings."""

from __future__ import annotations

import re
from typing import Any

from kfp import kubernetes

import kfp_pachyderm
from kfp_pachyderm.spec import Connection

#: What the launcher reads.
TOKEN_VARIABLE = "KFP_PACHYDERM_TOKEN"  # noqa: S105 - a variable's name
CA_VARIABLE = "KFP_PACHYDERM_CA"
_CA_FOLDER = "/kfp-pachyderm/ca"
_WHEEL = re.compile(r"\.whl(#\S+)?$")


def pip_arguments(connection: Connection | None) -> str:
    """What a step's bootstrap tells pip where the image has no launcher.

    Unless the connection names a version, it is the one that compiles the pipeline: a run is the same
    whenever it starts. It goes into the task's environment: KFP's cache key holds a task's image, command and
    inputs, so a new version does not change it.
    """
    version = f"kfp-pachyderm=={kfp_pachyderm.__version__}"
    named = connection.package if connection and connection.package else version
    if named.startswith("/"):
        return f"--no-index --find-links {named} {version}"
    if "://" in named and not _WHEEL.search(named):
        return f"--index-url {named} {version}"
    return named


def connect(task: Any, connection: Connection | None) -> None:
    """Gives a task the token as an environment variable and the certificate authority as a file.

    Args:
        task: a KFP task.
        connection: names the Secrets; None: the task needs none.
    """
    token = connection.token_key() if connection else None
    if token:
        secret, key = token
        kubernetes.use_secret_as_env(task, secret_name=secret, secret_key_to_env={key: TOKEN_VARIABLE})
    authority = connection.ca_key() if connection else None
    if authority:
        secret, key = authority
        kubernetes.use_secret_as_volume(task, secret_name=secret, mount_path=_CA_FOLDER)
        task.set_env_variable(CA_VARIABLE, f"{_CA_FOLDER}/{key}")
