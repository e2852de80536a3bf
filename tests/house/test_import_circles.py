"""No module of the package imports itself by way of others: each can be read, loaded and tested by itself."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp  # import-linter's own: `make rooms` sees the same imports
import pytest


def circle(package: str) -> list[str]:
    """The modules of a circle, each of which imports the next one; empty: there is none.

    Imports in functions count: they are there to load late, not to hide a circle. Those for type checkers
    alone never run.
    """
    graph = grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)
    imported = {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert " imports ".join(circle("kfp_pachyderm")) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import round_trip.one", True),
        ("from round_trip import one", True),
        ("def late():\n    from round_trip.one import there", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import round_trip.one", False),
        ("import json", False),
    ],
)
def test_a_circle_is_found(text: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "round_trip"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "one.py").write_text("from round_trip.two import back")
    (folder / "two.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert set(circle("round_trip")) == ({"round_trip.one", "round_trip.two"} if found else set())
