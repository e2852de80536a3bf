"""One page of a listing: prefix, delimiter, paging, over entries in byte order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Keyed(Protocol):
    """Anything that a listing can show."""

    @property
    def key(self) -> str:
        """The object's key."""


E = TypeVar("E", bound=Keyed)

#: Entries whose key starts with the first argument and is greater than the second, in order.
Walk = Callable[[str, str], Iterator[E]]

#: Greater than every key that starts with the text before it: a key has 1024 bytes, 256 such characters.
_BEYOND = "\U0010ffff" * 257


@dataclass
class Page(Generic[E]):
    """What one listing request answers.

    Args:
        entries: objects, in order.
        prefixes: common prefixes, in order.
        truncated: whether there is more.
        last: the highest key or prefix on the page.
    """

    entries: list[E] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""

    def __len__(self) -> int:
        return len(self.entries) + len(self.prefixes)


def group_of(key: str, prefix: str, delimiter: str) -> str:
    """The common prefix that the key falls under; "" for none."""
    if not delimiter:
        return ""
    head, found, _ = key[len(prefix) :].partition(delimiter)
    return prefix + head + delimiter if found else ""


def _start(prefix: str, delimiter: str, after: str) -> str:
    """Where to go on: behind a whole common prefix when the last page ended with one."""
    group = group_of(after, prefix, delimiter) if after.startswith(prefix) else ""
    return after + _BEYOND if group and group == after else after


def page(walk: Walk[E], *, prefix: str, delimiter: str, after: str, limit: int) -> Page[E]:
    """At most `limit` keys and common prefixes that come after `after`.

    Args:
        walk: the bucket's entries; called again behind each common prefix, so that its content is not read.
        prefix: only keys that start with it.
        delimiter: what groups keys; "" for none.
        after: exclusive; a key, or a common prefix of an earlier page.
        limit: 0 answers an empty page.
    """
    result: Page[E] = Page()
    position = _start(prefix, delimiter, after)
    entries = walk(prefix, position)
    while limit and (entry := next(entries, None)) is not None:
        if len(result) == limit:
            result.truncated = True
            break
        group = group_of(entry.key, prefix, delimiter)
        if group:
            result.prefixes.append(group)
            entries = walk(prefix, group + _BEYOND)
        else:
            result.entries.append(entry)
        result.last = group or entry.key
    return result
