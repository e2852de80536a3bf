"""Writes and checks the SBOM (CycloneDX): the packages that an installed wheel depends on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from release.contents import metadata
from release.version import ReleaseError


def write(python: Path, pyproject: Path, target: Path) -> None:
    """Writes the SBOM.

    Args:
        python: the Python of the environment that has the wheel and pip.
        pyproject: the pyproject.toml of the released tree.
        target: the JSON file to write.
    """
    subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(pyproject)),
            *("--output-reproducible", "--of", "JSON", "-o", str(target), str(python)),
        ],
        check=True,
    )


def check(target: Path, wheel: Path, version: str) -> int:
    """Checks the SBOM; returns the number of packages that it lists.

    Raises:
        ReleaseError: the SBOM is of another version, or lacks a dependency of the wheel.
    """
    bom = json.loads(target.read_text())
    root = bom["metadata"]["component"]
    if root.get("version") != version:
        raise ReleaseError(f"{target.name} is of {root.get('name')} {root.get('version')}, not {version}")
    listed = {_name(one["name"]) for one in bom["components"]}
    required = [one for one in metadata(wheel).get_all("Requires-Dist") or () if "extra ==" not in one]
    missing = {_name(re.split(r"[ <>=!~;\[]", one)[0]) for one in required} - listed
    if missing:
        raise ReleaseError(f"{target.name} lacks {sorted(missing)}")
    return len(bom["components"])


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
