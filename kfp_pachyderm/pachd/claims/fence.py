"""A fence around a step's pipeline that somebody is going to delete or change: steps keep out of it.

DeletePipeline takes no condition, and an update kills the pipeline's jobs (deletePipeline and
CreatePipelineInTransaction in src/server/pps/server/api_server.go). So who wants either puts up a fence and
looks then whether a step has claimed a job. A step that has claimed a job looks for fences before its command
begins. Whichever of the two comes second sees the other.

A fence is a branch of the pipeline's output repo, at the output branch's head. It goes with the repo. No name
comes twice, so that no gc takes down another one's. A gc that dies leaves its fence: a step waits for it for
`STANDS` seconds by its own clock, and takes it down. By then its owner does nothing any more.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from kfp_pachyderm.errors import PachydermError, TemporaryError
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.polling import looks
from kfp_pachyderm.pachd.references import repo_message
from kfp_pachyderm.pachd.sdk import pfs

_PREFIX = "fence_"
_FENCE = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")
#: Seconds for which a fence is waited for.
STANDS = 60.0
#: Seconds before that in which its owner begins nothing any more.
_SPARE = 20.0
#: Longest pause between two looks at a fence, in seconds.
_PAUSE = 0.5


def is_fence(name: str) -> bool:
    """Whether a branch of that name is a fence."""
    return bool(_FENCE.fullmatch(name))


@contextmanager
def fenced(pachd: Pachd, output: pfs.Branch) -> Iterator[Pachd]:
    """Puts up a fence, and takes it down.

    Args:
        pachd: the connection.
        output: the pipeline's output branch.

    Yields:
        The connection for the looks and the deed, whose calls end while the fence stands.

    Raises:
        PachydermError: there can be no fence.
    """
    until = time.monotonic() + STANDS - _SPARE
    fence = pfs.Branch(repo=output.repo, name=_PREFIX + os.urandom(16).hex())
    pachd.pfs.create_branch(head=pfs.Commit(repo=output.repo, branch=output), branch=fence)
    try:
        yield pachd.until(until)
    finally:
        _take_down(pachd, fence)


def wait_until_down(pachd: Pachd, project: str, pipeline: str, tell: Callable[[str], None]) -> bool:
    """Waits for the fences around a pipeline, and takes down those whose owners are dead.

    Args:
        pachd: the connection.
        project: Pachyderm project.
        pipeline: Pachyderm pipeline.
        tell: takes one line for the user.

    Returns:
        Whether there was one.

    Raises:
        NotFoundError: the pipeline is gone.
        TemporaryError: the connection's calls end before.
        PachydermError: what pachd answered.
    """
    repo = repo_message(project, pipeline)
    seen = pachd.repeated(lambda: _fences(pachd, repo), "ListBranch")
    if not seen:
        return False
    tell(
        f"a gc looks whether pipeline {project}/{pipeline} is in use; waiting for it to end, for "
        f"{STANDS:g} s at most"
    )
    until = time.monotonic() + STANDS
    for now in looks(pachd, lambda: _fences(pachd, repo), min(until, pachd.ends), tell, _PAUSE):
        # who put one up since then looks at the jobs since then
        if not now & seen:
            return True
    if pachd.ends < until:
        raise TemporaryError(f"a gc still looks whether pipeline {project}/{pipeline} is in use; try again")
    tell(f"the gc of pipeline {project}/{pipeline} is taken for dead, going on")
    for name in seen:
        _take_down(pachd, pfs.Branch(repo=repo, name=name))
    return True


def _fences(pachd: Pachd, repo: pfs.Repo) -> frozenset[str]:
    every = [one.branch.name for one in pachd.pfs.list_branch(repo=repo)]
    return frozenset(name for name in every if is_fence(name))


def _take_down(pachd: Pachd, fence: pfs.Branch) -> None:
    # Gone with its repo, or found by the next gc, or by the next step.
    with suppress(PachydermError):
        pachd.pfs.delete_branch(branch=fence)
