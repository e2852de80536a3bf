"""Links in Markdown that lead out of docs/: GitHub has the files that they open, the site has not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
SAMPLES = ROOT / "samples"
#: The generated pages, one for each sample.
PAGES = DOCS / "samples"

_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
_FENCE = re.compile(r"^\s*(```|~~~)")


def relocated(text: str, page: Path, target: Path) -> str:
    """Changes the relative links of a Markdown file for its place on the site.

    Args:
        text: the file's text.
        page: the file's path.
        target: the page's path on the site, below docs/.

    Returns:
        The text with changed links. Links to pages of docs/ and to pictures lead to the same files as before.
        Links to a sample lead to the sample's page. Links to notebooks become downloads. Of links to other
        files of the repository only the text is left. Broken links are not changed: Sphinx warns of them.
    """

    def changed(found: re.Match[str]) -> str:
        path = (page.parent / found["path"]).resolve()
        if not path.exists() or (DOCS in path.parents and page == target):
            return found[0]
        if not found["picture"] and DOCS not in path.parents and path.suffix != ".ipynb":
            sample = page_of(path)
            if sample in (None, target):
                return found["text"]
            path = sample
        where = os.path.relpath(path, target.parent)
        return f"{found['picture']}[{found['text']}]({where}{found['anchor'] or ''})"

    return outside_of_code(text, lambda line: _LINK.sub(changed, line))


def page_of(path: Path) -> Path | None:
    """The page that a file or folder of a sample is shown on; None for other files."""
    if path == SAMPLES:
        return PAGES / "index.md"
    inside = path.relative_to(SAMPLES).parts if SAMPLES in path.parents else ()
    return PAGES / f"{inside[0]}.md" if inside and (SAMPLES / inside[0] / "README.md").exists() else None


def outside_of_code(text: str, change: Callable[[str], str]) -> str:
    """The text with a change made to each line that is in no code block."""
    lines, fence = [], ""
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line)
        if found and fence in ("", found[1]):
            fence = "" if fence else found[1]
        lines.append(line if fence or found else change(line))
    return "".join(lines)
