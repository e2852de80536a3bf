"""Makes one page of a listing, by prefix and delimiter, from entries in order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Keyed(Protocol):
    """An entry of a listing: anything with a key."""

    @property
    def key(self) -> str:
        """The object's key."""


E = TypeVar("E", bound=Keyed)

#: Yields the entries whose key starts with the first argument and is greater than the second, in order.
Walk = Callable[[str, str], Iterator[E]]

#: Appended to a text, it is greater than every key that starts with the text: a key has at most 1024 bytes,
#: which are 256 of these characters.
_BEYOND = "\U0010ffff" * 257


@dataclass
class Page(Generic[E]):
    """One page of a listing.

    Args:
        entries: the objects, in order.
        prefixes: the common prefixes, in order.
        truncated: whether more entries follow.
        last: the greatest key or common prefix on the page.
    """

    entries: list[E] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""

    def __len__(self) -> int:
        return len(self.entries) + len(self.prefixes)


def group_of(key: str, prefix: str, delimiter: str) -> str:
    """Returns the common prefix that the key belongs to, "" for none."""
    if not delimiter:
        return ""
    head, found, _ = key[len(prefix) :].partition(delimiter)
    return prefix + head + delimiter if found else ""


def _start(prefix: str, delimiter: str, after: str) -> str:
    """Returns where the page starts: behind all keys of a common prefix, if the last page ended with one."""
    group = group_of(after, prefix, delimiter) if after.startswith(prefix) else ""
    return after + _BEYOND if group and group == after else after


def page(walk: Walk[E], *, prefix: str, delimiter: str, after: str, limit: int) -> Page[E]:
    """Makes a page of at most `limit` keys and common prefixes that come after `after`.

    Args:
        walk: yields the bucket's entries. It is called again behind each common prefix, to skip its entries.
        prefix: only keys that start with it are shown.
        delimiter: groups keys into common prefixes; "" for no groups.
        after: a key, or a common prefix of an earlier page; it is not on this page.
        limit: the most keys and common prefixes; 0 makes an empty page.
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
