"""Gives a task its Connection, else the namespace's default, by KFP's Kubernetes settings."""

from __future__ import annotations

import inspect
import re
from pathlib import PurePosixPath
from typing import Any

from kfp import kubernetes

import kfp_pachyderm
from kfp_pachyderm.authoring.spec import Connection
from kfp_pachyderm.launcher.claim.holder_image import VARIABLE as HOLDER_IMAGE_VARIABLE
from kfp_pachyderm.openlineage.configured import NAMESPACE_AUTH_VARIABLE
from kfp_pachyderm.pachd.connection.address import CA_FILE, TOKEN_FILE

#: Environment variables that the launcher reads.
ADDRESS_VARIABLE = "KFP_PACHYDERM_ADDRESS"
TOKEN_VARIABLE = "KFP_PACHYDERM_TOKEN"  # noqa: S105 - a variable's name
CA_VARIABLE = "KFP_PACHYDERM_CA"
CA_TEXT_VARIABLE = "KFP_PACHYDERM_CA_TEXT"
#: The namespace's default: a ConfigMap with the keys "address", "ca.crt", "holder_image" and
#: "openlineage.yml", a Secret with the keys "token" and "openlineage_auth".
DEFAULT_NAME = "kfp-pachyderm"
_CA_FOLDER = str(PurePosixPath(CA_FILE).parent)
_OWN_CA_FOLDER = f"{_CA_FOLDER}-own"
#: Whether a variable's ConfigMap or Secret may be missing: kfp-kubernetes 2.14 allows that for volumes only.
_OPTIONAL = "optional" in inspect.signature(kubernetes.use_config_map_as_env).parameters
_WHEEL = re.compile(r"\.whl(#\S+)?$")


def pip_arguments(connection: Connection | None) -> str:
    """Returns pip's arguments, by which a step's bootstrap installs the launcher where the image has none.

    Unless the connection names a version, the arguments name the version that compiles the pipeline, so that
    all runs of a compiled pipeline use the same. They go into the task's environment, which KFP's cache key
    does not hold: a new version does not invalidate the cache.
    """
    version = f"kfp-pachyderm=={kfp_pachyderm.__version__}"
    named = connection.package if connection and connection.package else version
    if named.startswith("/"):
        return f"--no-index --find-links {named} {version}"
    if "://" in named and not _WHEEL.search(named):
        return f"--index-url {named} {version}"
    return named


def connect(task: Any, connection: Connection | None, volumes: bool = True) -> None:
    """Gives a task the way to Pachyderm: environment variables, and the certificate authority as a file.

    What the connection leaves open comes from the default of the namespace that the task runs in. A
    connection with an address takes nothing from that default: the namespace's token must not go to another
    server.

    Args:
        task: a KFP task.
        connection: names the address and the Secrets; None: the namespace's default.
        volumes: whether the task may have volumes; if not, an environment variable holds the certificate
            authority.
    """
    default = connection is None or connection.address is None
    token = connection.token_key() if connection else None
    authority = connection.ca_key() if connection else None
    if default and _OPTIONAL:
        variables = {"address": ADDRESS_VARIABLE, "holder_image": HOLDER_IMAGE_VARIABLE}
        kubernetes.use_config_map_as_env(task, DEFAULT_NAME, variables, optional=True)
        keys = {"openlineage_auth": NAMESPACE_AUTH_VARIABLE}
        kubernetes.use_secret_as_env(
            task, DEFAULT_NAME, keys if token else {"token": TOKEN_VARIABLE, **keys}, optional=True
        )
    if token:
        kubernetes.use_secret_as_env(task, token[0], {token[1]: TOKEN_VARIABLE})
    elif default and not _OPTIONAL:
        folder = str(PurePosixPath(TOKEN_FILE).parent)
        kubernetes.use_secret_as_volume(task, DEFAULT_NAME, folder, optional=True)
    said = _authority_as_file if volumes else _authority_as_text
    said(task, authority, default)


def _authority_as_file(task: Any, authority: tuple[str, str] | None, default: bool) -> None:
    if authority:
        secret, key = authority
        # kfp-kubernetes 2.14 mounts the default's ConfigMap, with its address, at _CA_FOLDER.
        folder = _CA_FOLDER if _OPTIONAL or not default else _OWN_CA_FOLDER
        kubernetes.use_secret_as_volume(task, secret_name=secret, mount_path=folder)
        task.set_env_variable(CA_VARIABLE, f"{folder}/{key}")
    if default and not (authority and _OPTIONAL):
        kubernetes.use_config_map_as_volume(task, DEFAULT_NAME, _CA_FOLDER, optional=True)


def _authority_as_text(task: Any, authority: tuple[str, str] | None, default: bool) -> None:
    if authority:
        secret, key = authority
        kubernetes.use_secret_as_env(task, secret, {key: CA_TEXT_VARIABLE})
    elif default:
        kubernetes.use_config_map_as_env(task, DEFAULT_NAME, {"ca.crt": CA_TEXT_VARIABLE}, optional=True)
