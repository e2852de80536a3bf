"""The child's environment: where its S3 is, with which keys, and which job it works in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import kfp_pachyderm
from kfp_pachyderm.openlineage.configured import NAMESPACE_AUTH_VARIABLE
from kfp_pachyderm.runtime import VARIABLE, Step

#: The first three are the launcher's own: pachd's token, the forwarder to pachd, and OpenLineage's key. S3
#: clients would prefer the others to the keys of this step.
_REMOVED = (
    "KFP_PACHYDERM_TOKEN",
    "KFP_PACHYDERM_FORWARDER",
    NAMESPACE_AUTH_VARIABLE,
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
)


def child_environment(
    step: Step, sidecar: str, folder: Path, env: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment for one datum's run of the user's command.

    Args:
        step: what the child is told of its job.
        sidecar: the sidecar's own S3 endpoint.
        folder: a private folder of the step, for what the child imports.
        env: the launcher's own environment.
    """
    kept = {name: value for name, value in env.items() if name not in _REMOVED}
    told = {**step.environment(), **_own(step, sidecar)}
    return {**kept, **told, **_python(folder, env), **_no_proxy(step, env)}


def _own(step: Step, sidecar: str) -> dict[str, str]:
    """The variables that hold in the step's own container only, not for processes elsewhere."""
    files = {"PACH_INPUTS": step.files} if step.files else {}
    return {**files, "PACHYDERM_S3_SIDECAR": sidecar, VARIABLE: step.text()}


def _python(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Makes `kfp_pachyderm.runtime` importable, and nothing else that the launcher has installed."""
    imports = folder / "import"
    link = imports / "kfp_pachyderm"
    if not link.is_symlink():
        imports.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(kfp_pachyderm.__file__).parent, target_is_directory=True)
    before = env.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (before, str(imports))))}


def _no_proxy(step: Step, env: Mapping[str, str]) -> dict[str, str]:
    """The step's endpoint is never reached through a proxy."""
    # Clients compare IPv6 addresses without their brackets.
    host = step.endpoint.partition("://")[2].rpartition(":")[0].strip("[]")
    before = env.get("no_proxy") or env.get("NO_PROXY") or ""
    after = ",".join(filter(None, (before, host)))
    return {"no_proxy": after, "NO_PROXY": after}
