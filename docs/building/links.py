"""Links in Markdown that lead out of docs/: on the forge they open the file, on the site they can't."""

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
    """The Markdown of one file as it has to be in another place, or on the site.

    Args:
        text: of the file.
        page: where it is.
        target: where it will be, below docs/.

    Returns:
        The text with its relative links changed: to pages of docs/ and to pictures they lead on; to a sample
        they lead to the sample's page; notebooks are offered for download; of other files of the repository
        only the link's text is left. What leads nowhere is left as it is: Sphinx complains of it.
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
