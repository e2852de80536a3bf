"""The version, which stands in pyproject.toml only, and its section of the changelog."""

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
    """Returns the version in a tree's pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def sections(changelog: str) -> dict[str, str]:
    """Returns version → its section of the changelog, newest first."""
    return {found["title"]: found["text"].strip() for found in _SECTION.finditer(changelog)}


def set_version(root: Path, version: str, date: str) -> str:
    """Sets the version of a tree: in pyproject.toml, and as the title of the changelog's unreleased section.

    Args:
        root: the tree.
        version: as in "1.2.3" or "1.2.3rc1".
        date: as in "2026-11-27".

    Returns:
        The version's section of the changelog.

    Raises:
        ReleaseError: the version has the wrong form or was released before, or the changelog has no entry for
            it.
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
