"""The states of jobs, by their names; a later pachd may have states that this release does not know."""

from __future__ import annotations

from kfp_pachyderm.pachd.sdk import pps

State = pps.JobState
ENDED = (State.JOB_SUCCESS, State.JOB_FAILURE, State.JOB_KILLED, State.JOB_UNRUNNABLE)


def name_of(state: int) -> str:
    """Returns a state's name without its prefix: "SUCCESS", "FAILURE", "RUNNING", ...

    A state of a later pachd, 99 say, is "STATE_99": messages keep a number that they have no name for.
    """
    try:
        return str(State(state).name).removeprefix("JOB_")
    except ValueError:
        return f"STATE_{state:d}"
