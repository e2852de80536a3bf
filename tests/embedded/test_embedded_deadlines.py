"""Calls with a deadline before their answer: the server answers first, with pachd's code and text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import grpc
import pytest
from embedded_bench import Bench
from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded import deadline
from kfp_pachyderm.embedded.services import handlers
from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store import repos
from kfp_pachyderm.embedded.store.store import Store
from tests.waiting import wait_for

TOLD = ("UNKNOWN", "context deadline exceeded")
#: Seconds of the client's deadline.
SECONDS = 0.25


class Waiting:
    """A job whose user code never ends, and calls that wait for that job."""

    def __init__(self, bench: Bench, channel: grpc.Channel) -> None:
        self.bench, self._channel = bench, channel
        token = os.environ.get("PACH_PYTHON_AUTH_TOKEN")
        self._metadata = (("authn-token", token),) if token else ()
        head = bench.put("images", {"/a": b"1"})
        self.job = bench.claim("edges", head, "import time; time.sleep(600)", update=False)
        self.output = bench.commit("edges", self.job.id)

    def ask(self, method: str, request: Any, seconds: float, streams: bool) -> tuple[str, str]:
        make = self._channel.unary_stream if streams else self._channel.unary_unary
        call = make(f"/{method}", request_serializer=bytes)

        def until_the_end() -> None:
            for _ in call(request, timeout=seconds, metadata=self._metadata):
                pass

        with pytest.raises(grpc.RpcError) as caught:
            until_the_end()
        return caught.value.code().name, caught.value.details()


@pytest.fixture
def waiting(bench: Bench) -> Iterator[Waiting]:
    with grpc.insecure_channel(bench.address.removeprefix("grpc://")) as channel:
        one = Waiting(bench, channel)
        yield one
        bench.client.pps.stop_job(job=one.job)


#: Method, whether it streams, and its request.
CALLS: list[tuple[str, bool, Callable[[Waiting], Any]]] = [
    ("pps_v2.API/InspectJob", False, lambda one: pps.InspectJobRequest(job=one.job, wait=True)),
    (
        "pps_v2.API/InspectJobSet",
        True,
        lambda one: pps.InspectJobSetRequest(job_set=pps.JobSet(id=one.job.id), wait=True),
    ),
    ("pps_v2.API/SubscribeJob", True, lambda one: pps.SubscribeJobRequest(pipeline=one.job.pipeline)),
    ("pps_v2.API/GetLogs", True, lambda one: pps.GetLogsRequest(job=one.job, follow=True)),
    (
        "pfs_v2.API/InspectCommit",
        False,
        lambda one: pfs.InspectCommitRequest(commit=one.output, wait=pfs.CommitState.FINISHED),
    ),
    (
        "pfs_v2.API/InspectCommitSet",
        True,
        lambda one: pfs.InspectCommitSetRequest(commit_set=pfs.CommitSet(id=one.job.id), wait=True),
    ),
    (
        "pfs_v2.API/SubscribeCommit",
        True,
        lambda one: pfs.SubscribeCommitRequest(repo=one.output.repo, state=pfs.CommitState.FINISHED),
    ),
]


@pytest.mark.parametrize(("method", "streams", "request_of"), CALLS, ids=[one[0] for one in CALLS])
def test_a_call_that_waits_is_answered_just_before_the_clients_deadline(
    waiting: Waiting, method: str, streams: bool, request_of: Callable[[Waiting], Any]
) -> None:
    """The call is made again while the client's own deadline comes first, as on a busy machine."""
    request = request_of(waiting)

    def is_told() -> bool:
        answer = waiting.ask(method, request, SECONDS, streams)
        assert answer == TOLD or answer[0] == "DEADLINE_EXCEEDED"
        return answer == TOLD

    wait_for(is_told, "the server's answer before the client's deadline")


@pytest.mark.parametrize("late", ["pps_v2.API/ListJob", "pps_v2.API/ListPipeline"])
def test_lists_of_pps_name_the_deadline_by_its_code(late: str) -> None:
    def aborted(code: grpc.StatusCode, details: str) -> None:
        raise Aborted(code.name, details)

    context = Mock(abort=aborted)
    with pytest.raises(Aborted, match=r"DEADLINE_EXCEEDED.*context deadline exceeded"):
        handlers.refuse(context, late, deadline.DeadlineExceeded())


class Aborted(Exception):
    pass


def test_a_change_that_comes_too_late_is_none(tmp_path: Path) -> None:
    with Store(tmp_path) as store:

        def change() -> None:
            deadline.enter(0.0)
            with store.database.write() as txn:
                repos.create_project(txn, "late", "", False)

        with pytest.raises(Refused, match="context deadline exceeded"):
            copy_context().run(change)
        assert repos.find_project(store.read(), "late") is None
