"""Jobs of one step side by side: each takes a free one of the step's pipelines, or waits for the first."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from kfp_pachyderm.errors import AttachError, NotFoundError
from kfp_pachyderm.launcher.beside import beside
from kfp_pachyderm.launcher.say import say
from kfp_pachyderm.pachyderm import job as jobs
from kfp_pachyderm.pachyderm.claim import ClaimedJob, claim
from kfp_pachyderm.pachyderm.client import Pachd
from kfp_pachyderm.pachyderm.ownership import inspect_owned, new_claims
from kfp_pachyderm.pachyderm.pipelines import PipelinePlan, is_current, spec
from kfp_pachyderm.pachyderm.turns import TakenError, Turns, turns
from kfp_pachyderm.pachyderm.waiting import looks
from kfp_pachyderm.sdk import pps

#: Longest pause between two looks while all are busy, in seconds.
_PAUSE = 0.5


@dataclass(frozen=True)
class _Sibling:
    """One of the step's pipelines as it was just now.

    Args:
        plan: what the step wants it to be.
        seen: its turns, seen before all else.
        busy: the newest of its unfinished jobs; None: it is free.
        found: the pipeline, if it is free and exists.
    """

    plan: PipelinePlan
    seen: Turns
    busy: ClaimedJob | None = None
    found: pps.PipelineInfo | None = None

    @property
    def effort(self) -> int:
        """How much has to be done before it can run the job; what runs as it is has a worker."""
        if self.found is None:
            return 2
        if is_current(self.found, spec(self.plan)):
            return 0
        # One that reads another repo is as it should be for another commit of this very step's input.
        return 3 if new_claims(self.plan, self.found) else 1


def claim_free(pachd: Pachd, plans: list[PipelinePlan], deadline: float) -> tuple[PipelinePlan, ClaimedJob]:
    """Makes exactly one job, of the first of the pipelines that is free.

    No job is made that would queue, so none waits behind one job while another pipeline is free.

    Args:
        pachd: the connection.
        plans: the step's pipelines; all that exist are known to be ours.
        deadline: `time.monotonic()` until which it is waited.

    Raises:
        AttachError: none became free.
        PachydermError: what pachd answered at last.
    """
    told = False
    every: list[_Sibling] = []
    for every in looks(pachd, lambda: _look(pachd, plans), deadline, say, _PAUSE):
        for one in _by_effort(every):
            try:
                return one.plan, claim(pachd, one.plan, one.found, deadline, one.seen)
            except TakenError:
                continue
        if all(one.busy for one in every):
            if not told:
                say(f"{_busy(every)}; waiting for the first that ends")
                told = True
            _wait_for_one(pachd, every, deadline)
    raise AttachError(
        f"none of the step's pipelines became free in time: {_busy(every)}; give it more time by "
        "s3_enabled(timeout=...), or more pipelines by s3_enabled(concurrency=...)"
    )


def _look(pachd: Pachd, plans: list[PipelinePlan]) -> list[_Sibling]:
    asked = [beside(partial(_look_at, pachd, plan)) for plan in plans]
    return [one.result() for one in asked]


def _look_at(pachd: Pachd, plan: PipelinePlan) -> _Sibling:
    # Whatever happens from now on ends this turn.
    seen = turns(pachd, plan)
    if not seen:
        return _Sibling(plan, seen)
    unfinished = jobs.unfinished(pachd, ClaimedJob(plan.project, plan.name, ""))
    if unfinished:
        return _Sibling(plan, seen, busy=ClaimedJob(plan.project, plan.name, unfinished[0].job.id))
    return _Sibling(plan, seen, found=inspect_owned(pachd, plan))


def _by_effort(every: list[_Sibling]) -> Iterator[_Sibling]:
    """The free ones. A step alone gets the first; of many at once each that was too late tries any."""
    free = sorted((one for one in every if not one.busy), key=lambda one: one.effort)
    if free:
        yield free[0]
        yield from sorted(random.sample(free[1:], len(free) - 1), key=lambda one: one.effort)


def _busy(every: list[_Sibling]) -> str:
    ahead = ", ".join(f"job {one.busy.id} of {one.busy.pipeline}" for one in every if one.busy)
    return f"all {len(every)} pipelines of {every[0].plan} are busy: {ahead}" if every else "no look at them"


def _wait_for_one(pachd: Pachd, every: list[_Sibling], deadline: float) -> None:
    """Until one of the jobs has ended, however."""

    def one_ended() -> bool:
        return any(_is_over(pachd, one.busy) for one in every if one.busy)

    for ended in looks(pachd, one_ended, deadline, say, _PAUSE):
        if ended:
            return


def _is_over(pachd: Pachd, job: ClaimedJob) -> bool:
    try:
        return jobs.is_over(jobs.inspect(pachd, job))
    except NotFoundError:
        return True  # deleted, perhaps with its pipeline
