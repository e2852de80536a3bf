"""Removes leftovers, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from kfp_pachyderm.errors import NotFoundError, PachydermError
from kfp_pachyderm.gc.find import find
from kfp_pachyderm.gc.leftover import Leftover, Search


@dataclass(frozen=True)
class Removed:
    """What became of a leftover.

    Args:
        leftover: the leftover.
        problem: why it is still there; "" when it is gone.
    """

    leftover: Leftover
    problem: str = ""


def remove(search: Search, tell: Callable[[str], None]) -> Iterator[Removed]:
    """Removes all leftovers, and searches again until no new one is found.

    A pipeline that is deleted leaves commits that nobody reads any more, and perhaps a project that is empty.

    Args:
        search: what is looked for.
        tell: takes a line for each thing that can't be looked at; each is told once.
    """
    tried, told = set[tuple[str, str]](), set[str]()
    while True:
        found = [one for one in find(search) if (one.kind, one.name) not in tried]
        for line in dict.fromkeys(search.told):
            if line not in told:
                told.add(line)
                tell(line)
        if not found:
            return
        tried.update((one.kind, one.name) for one in found)
        yield from map(_removed, found)
        search = replace(search, told=[])


def _removed(leftover: Leftover) -> Removed:
    try:
        leftover.remove()
    except (NotFoundError, FileNotFoundError):
        pass  # somebody else was quicker
    except (PachydermError, OSError) as error:
        return Removed(leftover, str(error))
    return Removed(leftover)
