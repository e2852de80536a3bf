"""Compares the contents of a wheel and an sdist with the files in git."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path, PurePosixPath

from release.version import ReleaseError

PACKAGE = "kfp_pachyderm"
#: Suffixes of the package's files other than Python: the lineage page's data, its schema, py.typed.
DATA = {".css", ".html", ".js", ".json", ".LICENSE", ".typed"}
_INFO = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")


def expected_wheel(files: list[str], version: str) -> set[str]:
    """Returns the names of files that a wheel must have, from the files of the tree."""
    package = {one for one in files if one.startswith(f"{PACKAGE}/")}
    return package | {f"{PACKAGE}-{version}.dist-info/{one}" for one in _INFO}


def expected_sdist(files: list[str], version: str) -> set[str]:
    """Returns the names of files that an sdist must have, from the files of the tree."""
    return {f"{PACKAGE}-{version}/{one}" for one in (*files, "PKG-INFO")}


def check_wheel(wheel: Path, files: list[str], version: str) -> None:
    """Raises ReleaseError unless the wheel holds the package and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        _compare(wheel, set(archive.namelist()), expected_wheel(files, version))
        strange = [
            one
            for one in archive.namelist()
            if one.startswith(f"{PACKAGE}/") and PurePosixPath(one).suffix not in {".py", *DATA}
        ]
    if strange:
        raise ReleaseError(f"{wheel.name} has {strange}: say in release/contents.py that it belongs there")


def check_sdist(sdist: Path, files: list[str], version: str) -> None:
    """Raises ReleaseError unless the sdist holds the files in git and nothing else."""
    with tarfile.open(sdist) as archive:
        found = {one.name for one in archive.getmembers() if not one.isdir()}
    _compare(sdist, found, expected_sdist(files, version))


def check_metadata(wheel: Path, root: Path, version: str) -> None:
    """Raises ReleaseError unless the wheel's metadata agrees with pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    said = metadata(wheel)
    wanted = {
        "Name": project["name"],
        "Version": version,
        "Requires-Python": project["requires-python"],
        "License-Expression": project["license"],
    }
    wrong = {name: said[name] for name, value in wanted.items() if said[name] != value}
    extras = set(said.get_all("Provides-Extra") or ())
    if wrong or extras != set(project["optional-dependencies"]):
        raise ReleaseError(
            f"{wheel.name} says {wrong}, extras {sorted(extras)}: not what pyproject.toml does"
        )


def metadata(wheel: Path) -> Message:
    """Returns the METADATA file of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def _compare(archive: Path, found: set[str], wanted: set[str]) -> None:
    if found != wanted:
        raise ReleaseError(
            f"{archive.name} lacks {sorted(wanted - found)} and has {sorted(found - wanted)}, "
            "which are in git or not; see [tool.hatch.build] in pyproject.toml"
        )
