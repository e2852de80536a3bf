"""Jobs of one step side by side: each takes a free one of the step's pipelines, or waits for the first."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat

from kfp_pachyderm.errors import (
    AttachError,
    AuthenticationError,
    JobFailedError,
    NotFoundError,
    PachydermUnreachableError,
    TemporaryError,
)
from kfp_pachyderm.launcher.background import beside
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.claims.claim import claim_turn, kill_made
from kfp_pachyderm.pachd.claims.ownership import find_pipeline, inspect_owned, new_claims
from kfp_pachyderm.pachd.claims.turns import Look, TakenError, Turns, job_of, make, new_turn, turns
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.polling import looks
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.crashes import can_not_run
from kfp_pachyderm.pachd.pipeline_plan import PipelinePlan, check_rights, is_current, spec
from kfp_pachyderm.pachd.sdk import pps

#: Longest pause between two looks while all are busy, in seconds.
_PAUSE = 0.5
#: Longest pauses after a claim that failed for Pachyderm's own reasons, at first and at last, in seconds.
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 2.0


@dataclass(frozen=True)
class _Sibling:
    """One of the step's pipelines as it was just now.

    Args:
        plan: what the step wants it to be.
        seen: its turns, read before its jobs.
        busy: the newest of its unfinished jobs; None: it is free.
        found: the pipeline, if it is free and exists.
    """

    plan: PipelinePlan
    seen: Turns
    busy: ClaimedJob | None = None
    found: pps.PipelineInfo | None = None

    @property
    def effort(self) -> int:
        """A rank of the work before it can run the job; 0: it runs as it is, and has a worker."""
        if self.found is None:
            return 2
        if is_current(self.found, spec(self.plan)):
            return 0
        # Last those that read other claim branches: they suit this same step on inputs from other repos.
        return 3 if new_claims(self.plan, self.found) else 1

    @property
    def ill(self) -> bool:
        """Whether it can't run, and no change that the job needs would mend it."""
        return self.found is not None and can_not_run(self.found) and not self.effort


def claim_free(
    pachd: Pachd,
    plans: list[PipelinePlan],
    deadline: float,
    failed: JobFailedError | None = None,
    first: list[Look] | None = None,
) -> tuple[PipelinePlan, ClaimedJob]:
    """Makes exactly one job, of the first of the pipelines that is free.

    No job is made that would queue, so none waits behind one job while another pipeline is free.

    Args:
        pachd: the connection.
        plans: the step's pipelines; all that exist are known to be ours.
        deadline: the time at which it gives up, in `time.monotonic()`.
        failed: why a pipeline that this step took could not run its job; then only one that runs is taken.
        first: each of the pipelines as it was a moment ago, all of them known to be ours.

    Raises:
        AttachError: none became free.
        JobFailedError: `failed`, where none runs.
        PachydermError: the error of the last claim, if no pipeline became free after it.
    """
    told, every, claims = False, list[_Sibling](), _Claims(pachd)
    known: Iterator[Sequence[Look | None]] = chain([first] if first else [], repeat([None] * len(plans)))
    for every in looks(pachd, lambda: _look(pachd, plans, next(known)), deadline, say, _PAUSE):
        able = _able(every, failed is not None)
        job = claims.late(every) or claims.make(able)
        if job:
            return job
        if able:
            continue  # others were quicker with each of them, or Pachyderm could not do it just now
        if failed and not any(one.busy for one in every):
            raise failed
        if not told:
            say(f"{_busy(every)}; waiting for the first that ends")
            told = True
        _wait_for_one(pachd, every, deadline)
    if claims.failure:
        raise claims.failure
    raise AttachError(
        f"none of the step's pipelines became free in time: {_busy(every)}; give it more time by "
        "s3_enabled(timeout=...), or more pipelines by s3_enabled(concurrency=...)"
    )


class _Claims:
    """This step's claims, one after the other, until one makes its job.

    Claims of many steps at once get into each other's way in Pachyderm's database, and some would never come
    to an end (measured: four minutes). So a step whose claim fails pauses for a random time, and looks at all
    pipelines again.

    Args:
        pachd: the connection.
    """

    def __init__(self, pachd: Pachd) -> None:
        self._pachd, self._own, self._pause = pachd, new_turn(), _FIRST_PAUSE
        self._doubtful: dict[str, PipelinePlan] = {}
        self._told = set[str]()
        #: The temporary error in the last call of `make`; None if that met none.
        self.failure: TemporaryError | None = None

    def late(self, every: list[_Sibling]) -> tuple[PipelinePlan, ClaimedJob] | None:
        """The job of an earlier claim of this step that seemed to fail and did not."""
        plan = next((one.plan for one in every if self._own in one.seen), None)
        made = plan and job_of(self._pachd, plan, self._own)
        return self._only(plan, ClaimedJob(plan.project, plan.name, made)) if plan and made else None

    def make(self, able: list[_Sibling]) -> tuple[PipelinePlan, ClaimedJob] | None:
        """Makes the job, if one of the pipelines is still free and Pachyderm can do it now."""
        self.failure = None
        for one in _by_effort(able):
            try:
                job = claim_turn(self._pachd, one.plan, one.found, one.seen, self._own)
            except TakenError:
                continue
            except TemporaryError as error:
                self._bear(one.plan, error)
                return None
            if one.effort:
                # Should this fail, the next step that looks for a free pipeline makes the turn branch.
                beside(partial(make, self._pachd, one.plan))
            return self._only(one.plan, job)
        return None

    def _bear(self, plan: PipelinePlan, error: TemporaryError) -> None:
        self._doubtful[plan.name], self.failure = plan, error
        if str(error) not in self._told:
            self._told.add(str(error))
            say(f"claiming {plan}: {error}; trying again")
        if isinstance(error, PachydermUnreachableError):
            self._pachd.wait_for_answer(error)
        time.sleep(random.uniform(0, self._pause))  # noqa: S311 - a pause
        self._pause = min(2 * self._pause, _LAST_PAUSE)

    def _only(self, plan: PipelinePlan, job: ClaimedJob) -> tuple[PipelinePlan, ClaimedJob]:
        self._doubtful.pop(plan.name, None)
        for other in self._doubtful.values():
            beside(partial(kill_made, self._pachd, other, self._own))
        return plan, job


def _look(pachd: Pachd, plans: list[PipelinePlan], known: Sequence[Look | None]) -> list[_Sibling]:
    asked = [beside(partial(_look_at, pachd, *each)) for each in zip(plans, known, strict=True)]
    return [one.result() for one in asked]


def _look_at(pachd: Pachd, plan: PipelinePlan, known: Look | None = None) -> _Sibling:
    if known and not known.found:
        return _Sibling(plan, frozenset())
    if known and not known.seen:
        known = None
    try:
        # Seen first: a claim made after this ends the turn, so this step's claim fails.
        seen = known.seen if known else turns(pachd, plan.project, plan.name)
        busy = jobs.unfinished(pachd, ClaimedJob(plan.project, plan.name, ""))
    except NotFoundError:
        return _Sibling(plan, frozenset())
    except AuthenticationError as error:
        # With auth on, pachd forbids what does not exist, too.
        if find_pipeline(pachd, plan.project, plan.name) is None:
            return _Sibling(plan, frozenset())
        check_rights(pachd, plan)
        raise TemporaryError(f"{error}; but it was made just now") from error
    if busy:
        return _Sibling(plan, seen, busy=ClaimedJob(plan.project, plan.name, busy[0].job.id))
    found = known.found if known else inspect_owned(pachd, plan)
    if found and not seen:
        # Another release made the pipeline, or a step with one pipeline only: neither makes turn branches.
        make(pachd, plan)
        return _look_at(pachd, plan)
    return _Sibling(plan, seen, found=found)


def _able(every: list[_Sibling], running: bool) -> list[_Sibling]:
    """Those that may be taken: free ones that run, or (unless `running`) can be made."""
    free = [one for one in every if not one.busy]
    able = [one for one in free if not one.ill and not (running and one.found is None)]
    # Where none of them runs, the job says why.
    return able if able or running or len(free) < len(every) else free


def _by_effort(able: list[_Sibling]) -> list[_Sibling]:
    """Sorts by effort, and at random where the effort is equal: many steps at once must not try the same one.

    Of the pipelines to be made the first comes first, so that a step alone makes `edges`, then `edges-2`.
    """
    lowest = next((one for one in able if one.found is None), None)
    return sorted(random.sample(able, len(able)), key=lambda one: (one.effort, one is not lowest))


def _busy(every: list[_Sibling]) -> str:
    if not every:
        return "pachd did not say what they do"
    ahead = ", ".join(f"job {one.busy.id} of {one.busy.pipeline}" for one in every if one.busy)
    ill = ", ".join(f"{one.plan.name} ({one.found.reason})" for one in every if one.found and one.ill)
    idle = f", or can't run: {ill}" if ill else ""
    return f"all {len(every)} pipelines of {every[0].plan} are busy: {ahead}{idle}"


def _wait_for_one(pachd: Pachd, every: list[_Sibling], deadline: float) -> None:
    """Waits until one of the jobs has ended, with whatever state."""

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
