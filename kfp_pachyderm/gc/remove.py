"""Removes leftovers, and reports for each whether it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from kfp_pachyderm.errors import NotFoundError, PachydermError
from kfp_pachyderm.gc.find import find
from kfp_pachyderm.gc.leftover import Leftover, Search


@dataclass(frozen=True)
class Removed:
    """The outcome of one removal.

    Args:
        leftover: the leftover.
        problem: why it is still there; "" when it is gone.
    """

    leftover: Leftover
    problem: str = ""


def remove(search: Search, tell: Callable[[str], None]) -> Iterator[Removed]:
    """Removes all leftovers, and searches again until no new one is found.

    A deleted pipeline leaves gathered commits that no pipeline reads any more, and perhaps an empty project.

    Args:
        search: what to look for, and where.
        tell: takes a line for each thing that can't be inspected or listed; each line comes once.
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
        pass  # somebody else has removed it
    except (PachydermError, OSError) as error:
        return Removed(leftover, str(error))
    return Removed(leftover)
