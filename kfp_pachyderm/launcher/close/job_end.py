"""Ends a job whose output is delivered: tells the holder, and waits until Pachyderm ends the job."""

from __future__ import annotations

import time

from kfp_pachyderm.errors import CommitNotFinishedError, PachydermUnreachableError
from kfp_pachyderm.launcher.attach.session import Session
from kfp_pachyderm.launcher.claim.open_job import Opened
from kfp_pachyderm.launcher.step_log import say
from kfp_pachyderm.pachd.connection.client import Pachd
from kfp_pachyderm.pachd.jobs import job as jobs
from kfp_pachyderm.pachd.sdk import pps

#: Seconds between two looks for the next holder: where only a restart brings one, and where a datum does.
_LOOK_FOR_RESTART, _LOOK_FOR_DATUM = 1.0, 0.05


def end_job(pachd: Pachd, opened: Opened, session: Session, timeout: float) -> pps.JobInfo | None:
    """Tells the holder that the step succeeded, and waits for Pachyderm to end the job.

    Args:
        pachd: the connection.
        opened: the step and its job.
        session: the attached session, its heartbeat stopped.
        timeout: seconds for the job to end.

    Returns:
        The ended job; None when Pachyderm has started another holder for it, which is attached now.

    Raises:
        CommitNotFinishedError: it did not end in time.
        PachydermUnreachableError: pachd does not say whether it did.
    """
    deadline = time.monotonic() + timeout
    only_s3 = all(one.s3 for one in opened.plan.inputs)
    pause = _LOOK_FOR_RESTART if only_s3 else _LOOK_FOR_DATUM
    job, state = opened.job, "not answered for"
    told, look = session.tell_end(0, "the step succeeded"), time.monotonic() + pause
    try:
        for info in jobs.watch(pachd, opened.job, deadline, say):
            if jobs.is_over(info):
                return info
            state = jobs.state_name(info)
            told = told or session.tell_end(0, "the step succeeded")
            if time.monotonic() >= look:
                if session.next_holder():
                    return None
                look = time.monotonic() + pause
    except PachydermUnreachableError as error:
        raise PachydermUnreachableError(
            f"the step succeeded and {_heard(told)}, but pachd does not say whether its job {job.output} "
            f"succeeded too: {error}"
        ) from error
    raise CommitNotFinishedError(
        f"the step succeeded and {_heard(told)}, but its job {job.output} did not end within {timeout:g} s: "
        f"it is {state}; give it more time by s3_enabled(timeout=...), or see why it takes so long: "
        f"pachctl inspect job {job.pipeline}@{job.id} --project {job.project}"
    )


def _heard(told: bool) -> str:
    return "its holder was told so" if told else "its holder does not answer"
