"""A step whose pachd answers with states of jobs that are not known here."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from launcher_steps import Runner  # type: ignore[import-not-found]

from kfp_pachyderm.pachd.sdk import pps
from kfp_pachyderm.protocol.protobuf import fields, number
from tests.faults.fault_pachd import FaultyPachd

_STATE = 11
_State = pps.JobState


def test_a_step_bears_states_that_it_has_no_names_for(step: Runner) -> None:
    seen = Counter[int]()

    def later(method: str, answer: bytes) -> bytes:
        if method not in ("InspectJob", "ListJob"):
            return answer
        state = dict(fields(answer)).get(_STATE, 0)
        assert isinstance(state, int)
        seen[state] += 1
        # the first answer after the command, too: the launcher tells that state
        new = state in (_State.JOB_RUNNING, _State.JOB_FINISHING) or seen[_State.JOB_SUCCESS] == 1
        return answer + number(_STATE, 99) if new else answer  # the last occurrence of a field counts

    step.fill()
    with FaultyPachd(step.address.removeprefix("grpc://"), later) as proxy:
        ended = replace(step, address=f"grpc://{proxy.address}").run("print('ran')")
    assert seen[_State.JOB_RUNNING]
    assert seen[_State.JOB_SUCCESS] > 1
    assert (ended.code, "ran" in ended.out) == (0, True), ended.err
    assert step.job(ended).state == _State.JOB_SUCCESS
