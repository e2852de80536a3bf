"""Every file that ARCHITECTURE.md and CONTRIBUTING.md name exists, and ARCHITECTURE.md has every room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "kfp_pachyderm"
#: Rooms whose inner packages have to be on the map, too.
OPENED = ("authoring", "launcher", "adapter", "pachd")


def named(page: str) -> set[str]:
    """The files and folders that a page names in backticks."""
    texts = re.findall(r"`([^`\n]+)`", (ROOT / page).read_text())
    return {one for one in texts if re.fullmatch(r"[\w.-]+(/[\w.-]+)*(/|\.py|\.toml|\.md)|tests(/\w+)+", one)}


def rooms() -> set[str]:
    folders = [PACKAGE, *(PACKAGE / one for one in OPENED)]
    packages = {one.parent for folder in folders for one in folder.glob("*/__init__.py")}
    return {one.relative_to(PACKAGE).as_posix() for one in packages}


@pytest.mark.parametrize(("page", "least"), [("ARCHITECTURE.md", 80), ("CONTRIBUTING.md", 20)])
def test_what_a_page_names_is_there(page: str, least: int) -> None:
    found = named(page)
    assert len(found) >= least
    missing = {one for one in found if not (ROOT / one).exists() and not (PACKAGE / one).exists()}
    # in a sentence about one room
    assert {one for one in missing if not (PACKAGE / "pachd" / one).exists()} == set()


def test_every_room_is_on_the_map() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    assert {one for one in rooms() if f"`{one}/" not in page} == set()


def test_every_module_at_the_root_is_on_the_map() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    modules = {one.name for one in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert {one for one in modules if f"`{one}`" not in page} == set()


def test_the_guards_of_private_names_are_tests() -> None:
    rows = (ROOT / "ARCHITECTURE.md").read_text().partition("## Private names")[2].splitlines()
    guards = [row.rsplit("|", 2)[1] for row in rows if row.startswith("| ") and "where, and why" not in row]
    assert len(guards) > 5
    assert [one for one in guards if "`tests/" not in one] == []
