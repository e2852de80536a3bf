"""Finds all that dead runs left, for `kfp-pachyderm gc` and `kfp-pachyderm doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.gc import branches, folders, gathered, jobs, pipelines, projects
from kfp_pachyderm.gc.leftover import Leftover, Search

#: In the order of removal: a thing that keeps another one from being removed comes before it.
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

    A kind of thing that can't be listed is named in `search.told`, and the rest is found all the same.
    """
    found: list[Leftover] = []
    now = replace(search, listed={})  # each look lists anew
    for what, look in _FINDERS:
        try:
            found += look(now)
        except PachydermError as error:
            search.told.append(f"{what}: {error}")
    return found
