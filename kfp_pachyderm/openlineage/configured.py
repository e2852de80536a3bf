"""Tells whether OpenLineage is configured, in the places where its client library looks.

Where the library looks: openlineage/client/client.py, `_resolve_transport` and `_find_yaml_config_path`. If
the library finds nothing, it prints events to the console. A step sends none then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from kfp_pachyderm.pachd.connection.address import CA_FILE, TOKEN_FILE, mounted

#: Environment variables that configure the library's transport.
_VARIABLES = (
    "OPENLINEAGE_URL",
    "OPENLINEAGE_CONFIG",
    "OPENLINEAGE__TRANSPORT",
    "OPENLINEAGE__TRANSPORT__TYPE",
)
_CONFIG = "OPENLINEAGE_CONFIG"
_FILE_NAME = "openlineage.yml"
#: The library's config file for all steps of a Kubernetes namespace, where its ConfigMap is mounted.
NAMESPACE_FILE = f"{os.path.dirname(CA_FILE)}/{_FILE_NAME}"
#: The HTTP transport's `auth` as JSON, from the namespace's Secret. It goes with `NAMESPACE_FILE` only: no
#: other server may get it.
NAMESPACE_AUTH_VARIABLE = "KFP_PACHYDERM_OPENLINEAGE_AUTH"
#: The library merges this variable into the config file's settings.
_AUTH = "OPENLINEAGE__TRANSPORT__AUTH"
#: The same value where the Secret is mounted: kfp 2.14 has no optional variables from a Secret.
_AUTH_FILE = f"{os.path.dirname(TOKEN_FILE)}/openlineage_auth"
#: Variables that the process does not get: the library can be configured to send environment variables.
_WITHHELD = ("KFP_PACHYDERM_TOKEN", "KFP_PACHYDERM_FORWARDER", NAMESPACE_AUTH_VARIABLE)


def sender_environment(env: Mapping[str, str] = os.environ) -> dict[str, str] | None:
    """Returns the environment of the process that sends events; None if no events are wanted.

    Args:
        env: the launcher's environment.
    """
    if env.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return None
    if any(env.get(name) for name in _VARIABLES) or _has_file():
        found = {}
    elif os.path.isfile(NAMESPACE_FILE):
        auth = env.get(NAMESPACE_AUTH_VARIABLE, "") or mounted(_AUTH_FILE)
        found = {_CONFIG: NAMESPACE_FILE, **({_AUTH: auth} if auth else {})}
    else:
        return None
    kept = {name: value for name, value in env.items() if name not in _WITHHELD}
    # The process imports the same modules as the launcher, whose sys.path it gets.
    return {**kept, **found, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _has_file() -> bool:
    return os.path.isfile(_FILE_NAME) or os.path.isfile(os.path.expanduser(f"~/.openlineage/{_FILE_NAME}"))
