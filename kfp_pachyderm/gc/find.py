"""All that dead runs left; the one finder of `kfp-pachyderm gc` and `kfp-pachyderm doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.gc import branches, folders, gathered, jobs, pipelines, projects
from kfp_pachyderm.gc.leftover import Leftover, Search

#: In the order in which they are removed: what another one hangs on comes later.
_FINDERS: tuple[tuple[str, Callable[[Search], Iterator[Leftover]]], ...] = (
    ("transactions", jobs.transactions),
    ("jobs", jobs.waiting),
    ("pipelines", pipelines.idle),
    ("branches", branches.orphans),
    ("gathered commits", gathered.unused),
    ("projects", projects.empty),
    ("folders", folders.dead),
)


def find(search: Search) -> list[Leftover]:
    """Everything that may be removed, in the order in which it has to be.

    What can't be looked at is told, and the rest is found all the same.
    """
    found: list[Leftover] = []
    now = replace(search, listed={})  # each look lists anew
    for what, look in _FINDERS:
        try:
            found += look(now)
        except PachydermError as error:
            search.told.append(f"{what}: {error}")
    return found
