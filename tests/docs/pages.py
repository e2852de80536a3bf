"""The documentation's files: their headings, links and code blocks, as a Markdown parser sees them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

#: A comment above a code block that says how the block is run, where its language alone does not say it.
_HOW = re.compile(r"<!-- run: ([a-z]+) -->")
_NO_SLUG = re.compile(r"[^\w\- ]")


def pages() -> list[Path]:
    """Every page that people read: README, CONTRIBUTING, docs/, the READMEs of samples and components."""
    generated = DOCS / "samples"
    docs = sorted(one for one in DOCS.rglob("*.md") if generated not in one.parents)
    return [
        *(ROOT / one for one in ("README.md", "CONTRIBUTING.md", "components/README.md")),
        *docs,
        *sorted(ROOT.glob("samples/*/README.md")),
    ]


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(ROOT))


@dataclass(frozen=True)
class Block:
    """A code block.

    Args:
        page: the file that it is in.
        line: its first line there.
        language: what stands behind the fence's backquotes.
        text: the code.
        how: what the comment above it says; "" without one.
    """

    page: Path
    line: int
    language: str
    text: str
    how: str

    @property
    def name(self) -> str:
        """For the tests' names."""
        return f"{name_of(self.page)}:{self.line} {self.language}{' ' + self.how if self.how else ''}"


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in its order."""
    tokens = MarkdownIt().parse(page.read_text())
    return [
        Block(
            page, token.map[0] + 2, token.info.split()[0] if token.info else "", token.content, _how(before)
        )
        for before, token in zip([None, *tokens], tokens, strict=False)
        if token.type in ("fence", "code_block") and token.map
    ]


def _how(before: Token | None) -> str:
    found = _HOW.search(before.content) if before is not None and before.type == "html_block" else None
    return found[1] if found else ""


def links(page: Path) -> list[str]:
    """The targets of the page's links and pictures."""
    inline = [child for token in _parsed(page) for child in token.children or []]
    found = [child.attrGet("href") or child.attrGet("src") for child in inline]
    return [str(one) for one in found if one]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the page's headings."""
    tokens = _parsed(page)
    titles = [after.content for one, after in pairwise(tokens) if one.type == "heading_open"]
    return {_NO_SLUG.sub("", one.replace("`", "").lower()).replace(" ", "-") for one in titles}


def _parsed(page: Path) -> list[Token]:
    return MarkdownIt().enable("table").parse(page.read_text())
