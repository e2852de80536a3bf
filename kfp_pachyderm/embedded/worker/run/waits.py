"""What a job's run waits for before it goes on: its inputs, its output's base, an image that can't be had."""

from __future__ import annotations

from collections.abc import Callable

from kfp_pachyderm.embedded.pps import inputs
from kfp_pachyderm.embedded.store import commits
from kfp_pachyderm.embedded.store.commits import Commit
from kfp_pachyderm.embedded.store.repos import RepoKey
from kfp_pachyderm.embedded.worker.run.interrupts import Ended, TimedOut
from kfp_pachyderm.embedded.worker.run.running_job import RunningJob


def until_ended(running: RunningJob) -> None:
    """Waits until the job is ended from outside.

    Raises:
        Ended: it is, or the server is stopping.
    """
    running.store.database.wait(lambda: None, lambda: not running.interrupts.stopped)
    raise Ended


def for_inputs(running: RunningJob) -> list[str]:
    """Waits until the input commits are finished; returns the names of inputs whose commit failed.

    Raises:
        Ended: the job was ended from outside, or the server is stopping.
    """
    store, interrupts = running.store, running.interrupts

    def finished() -> list[Commit] | None:
        found = commits.provenance(store.read(), running.job.output)
        return found if all(one.finished is not None for one in found) else None

    found = store.database.wait(finished, lambda: not interrupts.stopped)
    if found is None or interrupts.stopped:
        raise Ended
    failed = {one.repo for one in found if one.error}
    names = inputs.pfs_inputs(running.details.input)
    return [one.name for one in names if RepoKey(one.project, one.repo, one.repo_type) in failed]


def for_base(running: RunningJob, found: Callable[[], None] = lambda: None) -> None:
    """Waits while the parent of the output commit is open: a dropped commit can leave such a one.

    pachd refuses to empty and to finish an output commit without its base (`DeleteFile`, compactCommit).
    It tries again for ever, and counts each try as a restart. Here `found` is called once.

    Raises:
        Ended: the job was ended from outside, or the server is stopping.
        TimedOut: the job has reached its timeout.
    """
    database, interrupts = running.store.database, running.interrupts

    def closed() -> bool | None:
        return None if _open_base(running) else True

    if closed():
        return
    found()
    running.log.write("the parent of the output commit is open, and the job waits for it")
    over = database.wait(closed, lambda: not interrupts.stopped, interrupts.seconds_left())
    if interrupts.stopped or database.closed:
        raise Ended
    if not over:
        raise TimedOut


def _open_base(running: RunningJob) -> bool:
    db = running.store.read()
    return commits.open_base(db, commits.by_id(db, running.job.output)) is not None
