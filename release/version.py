"""The version, which pyproject.toml says and nothing else, and its section of the changelog."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

UNRELEASED = "Unreleased"
_VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
_LINE = re.compile(r'^version = "(?P<version>[^"]+)"$', re.MULTILINE)
_SECTION = re.compile(
    r"^## (?P<title>\S+)(?: - (?P<date>[\d-]+))?\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)


class ReleaseError(Exception):
    """The release can't be made; the message says what is wrong, and the way out."""


def version_of(root: Path) -> str:
    """The version that a tree says it is."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def sections(changelog: str) -> dict[str, str]:
    """Version → what the changelog says of it, newest first."""
    return {found["title"]: found["text"].strip() for found in _SECTION.finditer(changelog)}


def set_version(root: Path, version: str, date: str) -> str:
    """Makes a tree that version's: pyproject.toml names it, and what was unreleased is its section.

    Args:
        root: the tree.
        version: as in "1.2.3" or "1.2.3rc1".
        date: as in "2026-11-27".

    Returns:
        What the changelog says of the version.

    Raises:
        ReleaseError: the version, or the changelog, can't be used.
    """
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version: give one like 1.2.3, or 1.2.3rc1")
    pyproject, changelog = root / "pyproject.toml", root / "CHANGELOG.md"
    text = changelog.read_text()
    found = sections(text)
    if version in found:
        raise ReleaseError(f"CHANGELOG.md has {version} already: it was released; give another VERSION")
    said = found.get(UNRELEASED, "")
    if not re.search(r"^- ", said, re.MULTILINE):
        raise ReleaseError(f"CHANGELOG.md says nothing below '## {UNRELEASED}': there is nothing to release")
    pyproject.write_text(_LINE.sub(f'version = "{version}"', pyproject.read_text(), count=1))
    changelog.write_text(text.replace(f"## {UNRELEASED}\n", f"## {UNRELEASED}\n\n## {version} - {date}\n", 1))
    return said
