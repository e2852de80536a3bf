"""The SBOM: what an installed wheel brings along, as CycloneDX."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from release.contents import metadata
from release.version import ReleaseError


def write(python: Path, pyproject: Path, target: Path) -> None:
    """Writes it.

    Args:
        python: of the environment that has the wheel, and pip.
        pyproject: of the released tree.
        target: the JSON file.
    """
    subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "environment", "--pyproject", str(pyproject)),
            *("--output-reproducible", "--of", "JSON", "-o", str(target), str(python)),
        ],
        check=True,
    )


def check(target: Path, wheel: Path, version: str) -> int:
    """How many packages it lists.

    Raises:
        ReleaseError: it is another version's, or lacks a dependency of the wheel's.
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
