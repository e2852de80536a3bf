"""Writes after an earlier look: what another client changed in between is neither lost nor written over."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from embedded_bench import Bench
from embedded_between import Between
from pachyderm_sdk import Client
from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.pps.pipelines import PipelineKey
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.embedded.worker import datums
from kfp_pachyderm.embedded.worker.run import JobRun
from tests.waiting import wait_for

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("meanwhile")) as one:
        yield one


@pytest.fixture
def inside(server: EmbeddedServer) -> Bench:
    return Bench(server.address, f"meanwhile-{next(_numbers)}")


@pytest.fixture
def between(server: EmbeddedServer, inside: Bench, monkeypatch: pytest.MonkeyPatch) -> Between:
    # The worker writes, too: it has to be done with the jobs of other tests.
    wait_for(lambda: not server.manager._queues, "the worker")
    return Between(server.store, monkeypatch)


def over(server: EmbeddedServer, bench: Bench, job: pps.Job) -> pps.JobInfo:
    """The job after its worker has let it go."""
    bench.ended(job)
    key = PipelineKey(bench.project.name, job.pipeline.name)
    wait_for(lambda: server.manager.running(key) is None)
    return bench.ended(job)


def test_a_rerun_takes_the_spec_that_is_there(
    server: EmbeddedServer, inside: Bench, between: Between
) -> None:
    commit = inside.put("images", {"/a": b"1"})
    over(server, inside, inside.claim("edges", commit, "print(1)", update=False))
    between.once("before_writes", lambda: inside.create("edges", "print(2)", None, update=True))
    inside.client.pps.rerun_pipeline(pipeline=inside.pipeline("edges"))
    found = inside.client.pps.inspect_pipeline(pipeline=inside.pipeline("edges"), details=True)
    assert (found.version, found.details.transform.cmd[-1]) == (3, "print(2)")


def test_a_rerun_joins_no_transaction(inside: Bench) -> None:
    inside.ended(inside.claim("edges", inside.put("images", {"/a": b"1"}), "print(1)", update=False))
    made = inside.client.transaction.start_transaction()
    try:
        inside.client.pps.rerun_pipeline(pipeline=inside.pipeline("edges"))
    finally:
        inside.client.transaction_id = None
    assert inside.client.pps.inspect_pipeline(pipeline=inside.pipeline("edges")).version == 2
    inside.client.transaction.delete_transaction(transaction=made)


def test_a_write_to_a_branch_goes_to_the_repo_that_is_there(
    server: EmbeddedServer, inside: Bench, between: Between
) -> None:
    inside.put("images", {"/old": b"1"})

    def anew() -> None:
        inside.client.pfs.delete_repo(repo=inside.repo("images"), force=True)
        inside.put("images", {"/new": b"1"})

    between.once("before_writes", anew)
    head = inside.commit("images", "master")
    inside.client.pfs.put_file_from_bytes(commit=head, path="/mine", data=b"1")
    assert inside.paths(head) == ["/mine", "/new"]
    lost = "SELECT count(*) FROM commits WHERE repo NOT IN (SELECT id FROM repos)"
    assert server.store.read().execute(lost).fetchone() == (0,)


def test_a_job_that_ends_while_its_datums_are_found_gets_none(
    server: EmbeddedServer, inside: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = datums.plan
    # a client of its own: that of `inside` may still be in the transaction that made the job
    other = Client.from_pachd_address(server.address)

    def stopped(store: Any, job: Any, given: Any) -> Any:
        other.pps.stop_job(job=inside.job("edges", job.key.id))
        return plan(store, job, given)

    monkeypatch.setattr(datums, "plan", stopped)
    commit = inside.put("images", {"/a": b"1"})
    info = over(server, inside, inside.claim("edges", commit, "print(1)", update=False))
    assert (info.state, info.data_total) == (pps.JobState.JOB_KILLED, 0)
    assert list(inside.client.pps.list_datum(job=info.job)) == []


def test_a_job_that_ends_while_user_code_does_keeps_its_counts(
    server: EmbeddedServer, inside: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Client.from_pachd_address(server.address)  # as above

    def stopped(run: JobRun, *_: Any) -> int:
        other.pps.stop_job(job=inside.job("edges", run._job.key.id))
        return 0

    monkeypatch.setattr(JobRun, "_execute", stopped)
    commit = inside.put("images", {"/a": b"1"})
    info = over(server, inside, inside.claim("edges", commit, "print(1)", update=False))
    assert (info.state, info.data_total, info.data_processed) == (pps.JobState.JOB_KILLED, 1, 0)
