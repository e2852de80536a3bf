"""Finds all that dead runs left, for `kfp-pachyderm gc` and `kfp-pachyderm doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from kfp_pachyderm.errors import PachydermError
from kfp_pachyderm.gc import branches, folders, gathered, jobs, pipelines, projects
from kfp_pachyderm.gc.leftover import Leftover, Search

#: In the order of removal: Pachyderm refuses to delete a branch, commit or project that something else uses.
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
    """Returns everything that may be removed, in the order of removal.

    A kind of leftover that can't be listed gets a line in `search.told`. The other kinds are still found.
    """
    found: list[Leftover] = []
    anew = replace(search, listed={})  # an earlier search's lists may be outdated
    for what, look in _FINDERS:
        try:
            found += look(anew)
        except PachydermError as error:
            search.told.append(f"{what}: {error}")
    return found
