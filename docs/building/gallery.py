"""The gallery: a page for each sample and one that shows all of them, made from the samples' READMEs.

The pages are made when the site is built, and not committed: a changed sample needs no second change, and
GitHub shows the READMEs themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from building.links import PAGES, SAMPLES, relocated

_PICTURE = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<path>[^)\s]+)\)")
_HEAD = """# Gallery

Each sample is a pipeline that you can run as it is, and a test of this package. The pictures are from real
runs.

"""


@dataclass(frozen=True)
class Sample:
    """One folder of samples/.

    Args:
        name: the folder's name.
        text: the text of its README.md.
    """

    name: str
    text: str

    @property
    def readme(self) -> Path:
        """The README's path."""
        return SAMPLES / self.name / "README.md"

    @property
    def line(self) -> str:
        """One line that says what the sample shows: the README's first paragraph."""
        return " ".join(self.text.split("\n\n")[1].split())

    @property
    def picture(self) -> str:
        """The README's first picture, else picture.png beside it, as Markdown."""
        found = _PICTURE.search(self.text)
        return found[0] if found else f"![a run of the sample {self.name}](picture.png)"


def samples() -> list[Sample]:
    """All samples, by name."""
    readmes = sorted(SAMPLES.glob("*/README.md"))
    return [Sample(one.parent.name, one.read_text()) for one in readmes]


def write(docs: Path) -> None:
    """Writes the pages into docs/samples; a page whose text is the same is not written, so Sphinx skips it.

    Args:
        docs: the folder of the site's pages.
    """
    found = samples()
    pages = {docs / "samples" / f"{one.name}.md": _page(one) for one in found}
    pages[docs / "samples" / "index.md"] = _HEAD + "\n".join(map(_entry, found)) + _contents(found)
    (docs / "samples").mkdir(exist_ok=True)
    for old in set((docs / "samples").glob("*.md")) - set(pages):
        old.unlink()
    for path, text in pages.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _page(sample: Sample) -> str:
    """The README, and below it the pipeline's code."""
    text = relocated(sample.text, sample.readme, PAGES / f"{sample.name}.md")
    code = [one for one in ("pipeline.py", "run.py", "demo.py") if (SAMPLES / sample.name / one).exists()]
    return text + "".join(
        f"\n## {one}\n\n```{{literalinclude}} ../../samples/{sample.name}/{one}\n:language: python\n```\n"
        for one in code
    )


def _entry(sample: Sample) -> str:
    index = PAGES / "index.md"
    head = f"## [{sample.name}](README.md)\n\n{sample.line}\n\n{sample.picture}\n"
    return relocated(head, sample.readme, index)


def _contents(found: list[Sample]) -> str:
    names = "\n".join(one.name for one in found)
    return f"\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
