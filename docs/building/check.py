"""Checks the built site: python docs/building/check.py FOLDER.

Every link of every page has to lead to an existing page, file or heading, and every page has to be reachable
from the first one. Links to other sites are only checked for their form, since the build has no network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {""}
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects a tag's anchors and links; HTMLParser calls it for each tag."""
        found = dict(attrs)
        self.anchors |= {found[one] or "" for one in ("id", "name") if one in found}
        self.links += [found[one] or "" for one in ("href", "src") if one in found]


def faults(folder: Path) -> list[str]:
    """The faults of the site: a line for each broken link and for each page that no page links to."""
    pages = {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    found = [
        f"{path.relative_to(folder)}: {link!r} leads nowhere"
        for path, page in pages.items()
        for link in dict.fromkeys(page.links)
        if not _leads_somewhere(path, link, pages)
    ]
    lost = set(pages) - _reached(folder / "index.html", pages)
    # the theme's own pages, which its scripts open
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
    """Prints the faults; returns 1 if there are any, else 0."""
    found = faults(Path(folder).resolve())
    print(*found, sep="\n", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
