"""Checks the built site: python docs/building/check.py FOLDER.

Every link of every page leads to a page, a file or a heading that is there; every page can be reached from
the first one; links to other sites are at least well formed, since the build has no network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        found = dict(attrs)
        self.anchors |= {found[one] or "" for one in ("id", "name") if one in found}
        self.links += [found[one] or "" for one in ("href", "src") if one in found]


def faults(folder: Path) -> list[str]:
    """What is wrong with the site, a line for each link and page."""
    pages = {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    found = [
        f"{path.relative_to(folder)}: {link!r} leads nowhere"
        for path, page in pages.items()
        for link in dict.fromkeys(page.links)
        if not _leads_somewhere(path, link, pages)
    ]
    lost = set(pages) - _reached(folder / "index.html", pages)
    # what Sphinx makes for the theme's own use
    lost -= {folder / f"{one}.html" for one in ("search", "genindex", "py-modindex")}
    return found + [f"{one.relative_to(folder)}: no page links here" for one in sorted(lost)]


def _leads_somewhere(path: Path, link: str, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme in ("http", "https"):
        return bool(parts.netloc) and " " not in link
    if parts.scheme:
        return parts.scheme in ("data", "mailto")
    target = _target(path, link)
    return parts.fragment in pages[target].anchors if target in pages else target.is_file()


def _target(path: Path, link: str) -> Path:
    where = unquote(urlsplit(link).path)
    return (path.parent / where).resolve() if where else path


def _reached(start: Path, pages: dict[Path, Page]) -> set[Path]:
    reached, todo = {start}, [start]
    while todo:
        path = todo.pop()
        fresh = {_target(path, link) for link in pages[path].links} & set(pages) - reached
        reached |= fresh
        todo += fresh
    return reached


def main(folder: str) -> int:
    """Prints what is wrong; 1 if anything is."""
    found = faults(Path(folder).resolve())
    print(*found, sep="\n", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
