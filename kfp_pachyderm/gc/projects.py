"""Finds empty projects that steps made, and projects of a `doctor --run` that was killed.

Pachyderm refuses to delete a project with a repo in it (src/server/pfs/server/server_project.go,
deleteProject). So a project stays if a step has begun in it meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from kfp_pachyderm.gc.leftover import Leftover, Search
from kfp_pachyderm.gc.owned import all_repos
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.pipeline_plan import OWNER, OWNER_KEY
from kfp_pachyderm.pachd.sdk import pfs

#: The project of a `kfp-pachyderm doctor --run` has this prefix and a random part as its name.
TRIAL_PROJECT = "kfp-pachyderm-doctor-"
#: The description of such a project.
TRIAL = "of kfp-pachyderm doctor --run; may be deleted"


def empty(search: Search) -> Iterator[Leftover]:
    """Yields empty projects that steps made, and projects of a `doctor --run` that was killed."""
    sizes = dict[str, list[int]]()
    for repo in all_repos(search):
        sizes.setdefault(repo.repo.project.name, []).append(repo.size_bytes_upper_bound)
    for info in search.pachd.repeated(lambda: list(search.pachd.pfs.list_project()), "ListProject"):
        name = info.project.name
        if search.project not in (None, name):
            continue
        if name.startswith(TRIAL_PROJECT) and info.description == TRIAL:
            if search.is_old(info.created_at, sure=False):
                yield _trial(search, info, sum(sizes.get(name, [])))
        elif info.metadata.get(OWNER_KEY) == OWNER and name not in sizes and search.is_old(info.created_at):
            why = "a step made it, and there is nothing in it"
            remove = partial(search.pachd.pfs.delete_project, project=info.project)
            yield Leftover("project", name, info.created_at, 0, why, "delete", remove)


def _trial(search: Search, info: pfs.ProjectInfo, size: int) -> Leftover:
    remove = partial(remove_trial, search.pachd, info.project.name)
    why = "a doctor that died made it, and all that is in it"
    return Leftover("project", info.project.name, info.created_at, size, why, "delete", remove)


def remove_trial(pachd: Pachd, name: str) -> None:
    """Deletes a `doctor --run` project with all pipelines and repos in it."""
    project = pfs.Project(name=name)
    pachd.pps.delete_pipelines(projects=[project], force=True)
    pachd.pfs.delete_repos(projects=[project], force=True)
    pachd.pfs.delete_project(project=project)
