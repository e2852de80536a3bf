"""A fence: a branch that keeps steps from beginning while their pipeline is deleted or changed.

DeletePipeline takes no condition, and an update kills the pipeline's jobs (deletePipeline and
CreatePipelineInTransaction in src/server/pps/server/api_server.go). Whoever deletes or updates a pipeline, a
`gc` or another step, makes the fence first, and then looks for jobs. A step claims its job first, and then
looks for fences, before its command begins. Therefore either the fence's owner sees the job, or the step sees
the fence.

A fence is a branch of the pipeline's output repo, at the head of the output branch. Deleting the repo deletes
it. Its name is random, so that nobody deletes the fence of another one. An owner that is killed leaves its
fence. A step waits for it for `STANDS` seconds by the step's own clock, then deletes it. The owner's own
deadline is earlier.
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
#: Seconds that a step waits for a fence to be deleted.
STANDS = 60.0
#: The owner of a fence stops so many seconds earlier.
_SPARE = 20.0
#: Seconds for deleting a fence, with repetitions after errors that may pass.
_DELETING = 10.0
#: The longest pause between two requests for the fences, in seconds.
_PAUSE = 0.5


def is_fence(name: str) -> bool:
    """Tells whether a branch of that name is a fence."""
    return bool(_FENCE.fullmatch(name))


@contextmanager
def fenced(pachd: Pachd, output: pfs.Branch) -> Iterator[Pachd]:
    """Makes a fence, and deletes it at the end.

    Args:
        pachd: the connection.
        output: the pipeline's output branch.

    Yields:
        The connection to use meanwhile: its calls end before a step takes the fence's owner for dead.

    Raises:
        PachydermError: Pachyderm did not make the fence.
    """
    until = time.monotonic() + STANDS - _SPARE
    fence = pfs.Branch(repo=output.repo, name=_PREFIX + os.urandom(16).hex())
    try:
        # an error does not tell whether pachd made it
        pachd.pfs.create_branch(head=pfs.Commit(repo=output.repo, branch=output), branch=fence)
        yield pachd.until(until)
    finally:
        _take_down(pachd, fence)


def wait_until_down(pachd: Pachd, project: str, pipeline: str, tell: Callable[[str], None]) -> bool:
    """Waits until the fences of a pipeline are deleted, and deletes those that stand too long.

    Args:
        pachd: the connection.
        project: Pachyderm project.
        pipeline: Pachyderm pipeline.
        tell: prints a line for the user.

    Returns:
        Whether there was a fence.

    Raises:
        NotFoundError: the pipeline does not exist.
        TemporaryError: the connection's deadline is earlier than the end of the wait.
        PachydermError: pachd refused a call, or did not answer.
    """
    repo = repo_message(project, pipeline)
    seen = pachd.repeated(lambda: _fences(pachd, repo), "ListBranch")
    if not seen:
        return False
    tell(
        f"a gc, or another step, is changing pipeline {project}/{pipeline}; waiting for it to end, for "
        f"{STANDS:g} s at most"
    )
    until = time.monotonic() + STANDS
    for now in looks(pachd, lambda: _fences(pachd, repo), min(until, pachd.ends), tell, _PAUSE):
        # A fence that is newer than this step's job does not matter: its owner sees the job.
        if not now & seen:
            return True
    if pachd.ends < until:
        raise TemporaryError(f"a gc, or another step, still changes pipeline {project}/{pipeline}; try again")
    tell(f"whoever was changing pipeline {project}/{pipeline} is taken for dead, going on")
    for name in seen:
        _take_down(pachd, pfs.Branch(repo=repo, name=name))
    return True


def _fences(pachd: Pachd, repo: pfs.Repo) -> frozenset[str]:
    every = [one.branch.name for one in pachd.pfs.list_branch(repo=repo)]
    return frozenset(name for name in every if is_fence(name))


def _take_down(pachd: Pachd, fence: pfs.Branch) -> None:
    # If this fails, the repo is gone, or the next step or the next gc deletes the fence.
    soon = pachd.until(time.monotonic() + _DELETING)
    with suppress(PachydermError):
        soon.repeated(lambda: soon.pfs.delete_branch(branch=fence), "DeleteBranch")
