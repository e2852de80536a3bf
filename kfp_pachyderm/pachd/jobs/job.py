"""Watches and ends one Pachyderm job, by gRPC calls to pachd."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from kfp_pachyderm.errors import (
    AttachError,
    CommitNotFinishedError,
    EmptyInputError,
    JobFailedError,
    JobLostError,
    NotFoundError,
    PachydermError,
    TemporaryError,
    UnknownAnswerError,
)
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.connection.polling import looks
from kfp_pachyderm.pachd.connection.texts import brief, storable
from kfp_pachyderm.pachd.jobs.claimed_job import ClaimedJob
from kfp_pachyderm.pachd.jobs.crashes import Crashes, times
from kfp_pachyderm.pachd.jobs.states import ENDED, State, name_of
from kfp_pachyderm.pachd.pipeline_plan import message
from kfp_pachyderm.pachd.references import Reference, commit_message, repo_picker
from kfp_pachyderm.pachd.sdk import metadata, pfs, pps

_CRASHING = "the pipeline to recover, it is crashing"
#: Pachyderm's reasons of jobs whose user code failed (src/server/worker/pipeline/transform/registry.go), and
#: of jobs that a change of their pipeline killed (src/server/pps/server/api_server.go).
_DATUM_FAILED = re.compile(r"datum \w+ failed")
_BY_CHANGE = re.compile("all jobs killed because pipeline was (updated|stopped)")
_HOLDER_LOST = "; its holder was killed, or heard nothing of the step for as long as the lease: run it again"
_LOOK_AT_LOGS = "; its user code says why: pachctl logs --project {0.project} --job {0.pipeline}@{0.id}"
#: Seconds between two checks of what a job waits for.
_LOOK_EVERY = 2.0
#: The longest pause between two calls that inspect a job, in seconds: before it starts, while it runs
#: (perhaps for hours), and after it has been told to end.
_STARTING_PAUSE, _RUNNING_PAUSE, _ENDING_PAUSE = 0.5, 5.0, 0.25


def state_name(info: pps.JobInfo) -> str:
    """Returns the name of the job's state, as `states.name_of` does."""
    return name_of(info.state)


def is_over(info: pps.JobInfo) -> bool:
    """Tells whether the job has ended, in whichever state. In one that is not known it has not."""
    return info.state in ENDED


def _works(info: pps.JobInfo) -> bool:
    every = info.details.worker_status
    return any(one.job_id == info.job.id and one.datum_status.started.timestamp() for one in every)


def inspect(pachd: Pachd, job: ClaimedJob, details: bool = False) -> pps.JobInfo:
    """Inspects the job."""
    return pachd.pps.inspect_job(job=job.message(), details=details)


def wait_for_datum(
    pachd: Pachd, job: ClaimedJob, deadline: float, tell: Callable[[str], None]
) -> pps.JobInfo:
    """Waits until the job's user code starts. Pachyderm would erase anything that is written earlier.

    The worker erases the output after it reports RUNNING, and before it reports a datum's start (Pachyderm
    src/server/worker/pipeline/transform/registry.go). The job's DNS name must not be resolved before that,
    and this function does not resolve it.

    Args:
        pachd: the connection.
        job: the job.
        deadline: `time.monotonic()` until which to wait.
        tell: takes one line for the user whenever the reason for waiting changes.

    Returns:
        The job, with details.

    Raises:
        EmptyInputError: the job ended without running user code.
        JobFailedError: somebody ended the job, or its pipeline can't run.
        JobLostError: the job failed, a change of its pipeline killed it, or it was deleted.
        AttachError: the deadline passed.
    """
    try:
        return _wait_for_datum(pachd, job, deadline, tell)
    except NotFoundError as error:
        raise JobLostError(
            f"job {job.output} is not there: its pipeline was changed or deleted meanwhile"
        ) from error


def _wait_for_datum(
    pachd: Pachd, job: ClaimedJob, deadline: float, tell: Callable[[str], None]
) -> pps.JobInfo:
    why = _Reasons(pachd, job, tell)
    for info in watch(pachd, job, deadline, tell, _STARTING_PAUSE, details=True):
        if is_over(info):
            raise ended_early(job, info)
        if _works(info):
            return info
        why.look(info)
    raise AttachError(
        f"job {job.output} did not start in time; {why.at_last()}; give it more time by "
        "s3_enabled(timeout=...), or find out what is wrong: kfp-pachyderm doctor"
    )


def follow(pachd: Pachd, job: ClaimedJob, deadline: float, tell: Callable[[str], None]) -> pps.JobInfo:
    """Waits until the job has ended, in whichever state, and returns it.

    Meanwhile it tells what the job waits for.

    Args:
        pachd: the connection.
        job: the job.
        deadline: `time.monotonic()` until which to wait.
        tell: takes one line for the user whenever the reason for waiting changes.

    Raises:
        JobFailedError: its pipeline can't run.
        CommitNotFinishedError: the deadline passed.
    """
    why = _Reasons(pachd, job, tell)
    for info in watch(pachd, job, deadline, tell, _RUNNING_PAUSE, details=True):
        if is_over(info):
            return info
        why.look(info)
    raise CommitNotFinishedError(
        f"job {job.output} did not end in time; {why.at_last()}; give it more time, or see why it takes so "
        f"long: pachctl inspect job {job.pipeline}@{job.id} --project {job.project}"
    )


def watch(
    pachd: Pachd,
    job: ClaimedJob,
    deadline: float,
    tell: Callable[[str], None],
    pause: float = _ENDING_PAUSE,
    details: bool = False,
) -> Iterator[pps.JobInfo]:
    """Inspects the job again and again, and yields each result; arguments and errors as of `looks`."""
    return looks(pachd, lambda: inspect(pachd, job, details), deadline, tell, pause)


def ended_early(job: ClaimedJob, info: pps.JobInfo) -> PachydermError:
    """Makes the error for a job that ended before its step began: one that `wait_for_datum` raises."""
    if info.state == State.JOB_SUCCESS and not info.data_total:
        return EmptyInputError(f"job {job.output} ended without running user code: an input has no files")
    lost = info.state == State.JOB_FAILURE or _BY_CHANGE.search(info.reason)
    return (JobLostError if lost else JobFailedError)(
        f"job {job.output} ended as {state_name(info)} before the step began: {_reason(info)}"
    )


def _reason(info: pps.JobInfo) -> str:
    return info.reason.strip() or "Pachyderm gives no reason"


class _Reasons:
    """Finds out what a job waits for, every `_LOOK_EVERY` seconds, and tells each reason only once."""

    def __init__(self, pachd: Pachd, job: ClaimedJob, tell: Callable[[str], None]) -> None:
        self._pachd, self._job, self._tell = pachd, job, tell
        self._next, self._crashes = time.monotonic() + _LOOK_EVERY, Crashes()
        self._seen = Counter[str]()
        self._last: pps.JobInfo | None = None

    def __str__(self) -> str:
        return times(self._seen)

    def at_last(self) -> str:
        """What it is, and has waited for: looked at once more, as the time may have been up before."""
        if self._last is None:
            return "pachd said nothing of it"
        self._look_now(self._last)
        crash = f" ({self._crashes})" if self._crashes.since else ""
        waited = f"waited for: {self}{crash}" if self._seen else "pachd does not say what it waited for"
        return f"it is {state_name(self._last)}, and {waited}"

    def look(self, info: pps.JobInfo) -> None:
        """Tells what the job waits for.

        Raises:
            JobFailedError: its pipeline can't run.
        """
        self._last = info
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOOK_EVERY
            self._look_now(info)

    def _look_now(self, info: pps.JobInfo) -> None:
        try:
            crash = self._crash()
            reason = crash or self._queue(info) or self._run(info) or "the worker to start user code"
        except (TemporaryError, UnknownAnswerError):
            return  # if Pachyderm is unreachable, the next call that inspects the job handles it
        self._seen[_CRASHING if crash else reason] += 1
        if self._seen[_CRASHING if crash else reason] == 1:
            self._tell(f"job {self._job.id} is {state_name(info)}, waiting for {reason}")

    def _crash(self) -> str:
        name = message(self._job.project, self._job.pipeline)
        pipeline = self._pachd.pps.inspect_pipeline(pipeline=name)
        if self._crashes.add(pipeline):
            self._crashes.describe(self._pachd.pps.inspect_pipeline(pipeline=name, details=True))
        if self._crashes.over:
            raise JobFailedError(
                f"pipeline {self._job.project}/{self._job.pipeline} can't run: {self._crashes}"
            )
        return f"{_CRASHING}: {self._crashes}" if self._crashes.since else ""

    def _run(self, info: pps.JobInfo) -> str:
        if info.state == State.JOB_FINISHING:
            return "its output to be validated"
        if info.state == State.JOB_EGRESSING:
            return "its output to be written where the pipeline's egress says"
        ended = f", {info.data_processed} of {info.data_total} datums done" if info.data_total > 1 else ""
        return f"its user code to end{ended}" if _works(info) else ""

    def _queue(self, info: pps.JobInfo) -> str:
        if info.state != State.JOB_CREATED:
            return ""
        before = [other for other in unfinished(self._pachd, self._job) if other.created < info.created]
        return (
            f"job {before[-1].job.id} of the same pipeline, {len(before)} in the queue before it"
            if before
            else ""
        )


def unfinished(pachd: Pachd, job: ClaimedJob) -> list[pps.JobInfo]:
    """Returns the other unfinished jobs of the job's pipeline, newest first, out of its newest 100 jobs."""
    every = newest(pachd, job.project, job.pipeline)
    return [info for info in every if info.job.id != job.id and not is_over(info)]


def newest(pachd: Pachd, project: str, pipeline: str) -> list[pps.JobInfo]:
    """Returns the newest 100 jobs of a pipeline, of all its versions, newest first."""
    name = message(project, pipeline)
    return pachd.repeated(lambda: list(pachd.pps.list_job(pipeline=name, history=-1, number=100)), "ListJob")


def wait_for_end(
    pachd: Pachd, job: ClaimedJob, deadline: float, tell: Callable[[str], None]
) -> pps.JobInfo | None:
    """Waits until the job has ended, in whichever state, and returns it; None if the deadline passes."""
    every = watch(pachd, job, deadline, tell, _RUNNING_PAUSE)
    return next((info for info in every if is_over(info)), None)


def require_success(job: ClaimedJob, info: pps.JobInfo, ours: bool = True) -> None:
    """Checks that an ended job succeeded.

    Args:
        job: the job.
        info: the job, inspected.
        ours: whether it is a step's job; False for a job of somebody's own pipeline.

    Raises:
        JobFailedError: the job did not succeed.
    """
    if info.state != State.JOB_SUCCESS:
        raise failed(job, info, ours)


def failed(job: ClaimedJob, info: pps.JobInfo, ours: bool = True) -> JobFailedError:
    """Makes the error for a job that did not succeed; arguments as of `require_success`."""
    reason = _reason(info)
    if info.state == State.JOB_FAILURE and _DATUM_FAILED.fullmatch(reason):
        reason += _HOLDER_LOST if ours else _LOOK_AT_LOGS.format(job)
    state = state_name(info)
    return JobFailedError(f"job {job.output} ended as {state}: {reason}", state)


def stop(pachd: Pachd, job: ClaimedJob, reason: str) -> None:
    """Kills the job; does nothing if it has ended or does not exist."""
    try:
        pachd.pps.stop_job(job=job.message(), reason=brief(reason))
    except NotFoundError:
        return


def inspect_output(pachd: Pachd, output: Reference) -> pfs.CommitInfo:
    """Inspects the output commit."""
    return pachd.pfs.inspect_commit(commit=commit_message(output))


def write_metadata(pachd: Pachd, commit: Reference, entries: dict[str, str]) -> None:
    """Adds or changes metadata of a commit. Pachyderm takes it before, during and after the job."""
    picker = _picker(commit)
    edits = [
        metadata.Edit(commit=picker, edit_key=metadata.EditEditKey(key=key, value=storable(value)))
        for key, value in entries.items()
    ]
    pachd.metadata.edit_metadata(edits=edits)


def _picker(commit: Reference) -> Any:
    repo = repo_picker(commit.project, commit.repo)
    return pfs.CommitPicker(id=pfs.CommitPickerCommitByGlobalId(repo=repo, id=commit.version))
