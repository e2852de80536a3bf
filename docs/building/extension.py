"""The Sphinx extension: writes the gallery, puts links right, and completes the navigation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

import kfp_pachyderm
from building import gallery
from building.links import relocated

#: A line of index.md. All pages that the navigation does not name take its place.
FURTHER = "% further pages"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects the extension to Sphinx, which calls this function."""
    app.connect("builder-inited", _write_gallery)
    app.connect("builder-inited", _forget_overloads)
    app.connect("source-read", _change_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write_gallery(app: Sphinx) -> None:
    gallery.write(Path(app.srcdir))


def _forget_overloads(_: Sphinx) -> None:
    """Drops the overloads for type checkers: the reference would show the same long signature twice."""
    for function in (kfp_pachyderm.s3_enabled, kfp_pachyderm.pipeline):
        analyzer = ModuleAnalyzer.for_module(function.__module__)
        analyzer.analyze()
        analyzer.overloads.clear()


def _change_source(app: Sphinx, page: str, source: list[str]) -> None:
    path = Path(app.srcdir) / f"{page}.md"
    source[0] = relocated(source[0], path, path)
    if page == "index":
        named = {"index", *source[0].splitlines()}
        further = sorted(
            app.env.found_docs - named - {one for one in app.env.found_docs if "samples/" in one}
        )
        source[0] = source[0].replace(FURTHER, "\n".join(further))
