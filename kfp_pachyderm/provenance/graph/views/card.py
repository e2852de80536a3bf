"""Cards for notebooks: HTML tables without scripts, so that GitHub shows them, too."""

from __future__ import annotations

import html
from collections.abc import Iterable

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.pachd.connection.address import Address
from kfp_pachyderm.pachd.connection.client import connect
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.graph.views.pictures import Contents, contents
from kfp_pachyderm.provenance.graph.views.wording import plain, size

#: The most files of a commit that a card shows.
_FILES = 8
#: Seconds for Pachyderm's answer: it may be gone when a notebook shows the card.
_TIMEOUT = 3.0


def card(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A card of names and values; rows without a value are left out."""
    lines = "".join(f"<tr>{cell(name)}{cell(value)}</tr>" for name, value in rows if value)
    return f"<b>{escaped(plain(title))}</b><table>{lines}</table>"


def cell(text: str) -> str:
    """A table's cell."""
    return f'<td style="text-align:left">{escaped(text)}</td>'


def escaped(text: str) -> str:
    """The text as HTML."""
    return html.escape(text).replace("\n", "<br>")


def contents_of(commit: Reference, where: Address | None) -> Contents:
    """A commit's files and pictures; where its Pachyderm does not answer any more, the reason."""
    if where is None:
        return Contents()
    try:
        with connect(where, _TIMEOUT, _TIMEOUT) as pachd:
            return contents(pachd, [commit])[commit]
    except PachydermError as error:
        return Contents(more=f"the files can't be listed now: {error}")


def files(content: Contents) -> str:
    """A line for each of the first files."""
    shown = [f"{plain(one.path)} ({size(one.size)})" for one in content.files[:_FILES]]
    more = "…" if len(content.files) > _FILES else ""
    return "\n".join(filter(None, [*shown, more, content.more]))


def pictures(content: Contents) -> str:
    """The pictures, small."""
    return "".join(
        f'<img src="{data}" alt="{html.escape(plain(path))}" title="{html.escape(plain(path))}" '
        'style="max-width:200px; max-height:150px; margin:4px; display:inline">'
        for path, data in content.pictures
    )
