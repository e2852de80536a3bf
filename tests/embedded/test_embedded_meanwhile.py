"""Writes after an earlier look: what another client changed in between is neither lost nor written over."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

import grpc
import pytest
from embedded_bench import Bench
from embedded_between import Between
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded.pps import jobs, pipelines
from kfp_pachyderm.embedded.pps.pipelines import PipelineKey
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.embedded.services.pfs_api import pick
from kfp_pachyderm.embedded.store import branches, commits
from kfp_pachyderm.embedded.worker import datums
from kfp_pachyderm.embedded.worker.run.datum_runs import DatumRuns
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

    def stopped(runs: DatumRuns, *_: Any) -> int:
        other.pps.stop_job(job=inside.job("edges", runs._running.job.key.id))
        return 0

    monkeypatch.setattr(DatumRuns, "_execute", stopped)
    commit = inside.put("images", {"/a": b"1"})
    info = over(server, inside, inside.claim("edges", commit, "print(1)", update=False))
    assert (info.state, info.data_total, info.data_processed) == (pps.JobState.JOB_KILLED, 1, 0)


def test_a_file_set_goes_to_the_head_that_is_there(inside: Bench, between: Between) -> None:
    inside.put("images", {"/old": b"1"})
    first = inside.client.pfs.start_commit(branch=inside.branch("images"))
    added = pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/mine", raw=b"1"))
    made = inside.client.pfs.create_file_set(iter([added])).file_set_id

    def moved() -> None:
        inside.client.pfs.finish_commit(commit=first)
        inside.client.pfs.start_commit(branch=inside.branch("images"))

    between.once("before_writes", moved)
    head = pfs.Commit(repo=inside.repo("images"), branch=inside.branch("images"))
    inside.client.pfs.add_file_set(commit=head, file_set_id=made)
    assert inside.paths(inside.commit("images", first.id)) == ["/old"]
    assert inside.paths(head) == ["/mine", "/old"]


def test_a_file_set_is_refused_by_a_commit_that_ends(inside: Bench, between: Between) -> None:
    inside.put("images", {"/old": b"1"})
    commit = inside.client.pfs.start_commit(branch=inside.branch("images"))
    made = inside.client.pfs.create_file_set(iter([])).file_set_id
    between.once("before_writes", lambda: inside.client.pfs.finish_commit(commit=commit))
    with pytest.raises(grpc.RpcError, match=f"commit .*images@{commit.id} has already finished"):
        inside.client.pfs.add_file_set(commit=commit, file_set_id=made)
    assert inside.paths(inside.commit("images", commit.id)) == ["/old"]


def after_first(patch: pytest.MonkeyPatch, module: ModuleType, name: str, act: Callable[[], Any]) -> None:
    """Another client acts after the first call of a function, when its caller has the answer."""
    original, left = getattr(module, name), [act]

    def call(*values: Any) -> Any:
        found = original(*values)
        if left:
            left.pop()()
        return found

    patch.setattr(module, name, call)


READS: dict[str, Callable[[Bench], Any]] = {
    "InspectRepo": lambda one: one.client.pfs.inspect_repo(repo=one.repo("images")),
    "ListRepo": lambda one: list(one.client.pfs.list_repo(projects=[one.project])),
    "InspectBranch": lambda one: one.client.pfs.inspect_branch(branch=one.branch("images")),
    "ListBranch": lambda one: list(one.client.pfs.list_branch(repo=one.repo("images"))),
    "InspectCommit": lambda one: one.client.pfs.inspect_commit(commit=one.commit("images", "master")),
}


@pytest.mark.parametrize("call", READS)
def test_a_branch_has_a_head_while_it_moves(
    inside: Bench, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.put("images", {"/a": b"1"})
    head = inside.put("images", {"/b": b"1"})
    dropped = partial(inside.client.pfs.drop_commit_set, commit_set=pfs.CommitSet(id=head.id))
    after_first(monkeypatch, branches, "select", dropped)
    READS[call](inside)
    assert inside.paths(inside.commit("images", "master")) == ["/a"]


def test_a_commit_that_is_dropped_after_it_was_found_is_told(
    inside: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = inside.put("images", {"/b": b"1"})
    dropped = partial(inside.client.pfs.drop_commit_set, commit_set=pfs.CommitSet(id=head.id))
    after_first(monkeypatch, pick, "commit", dropped)
    assert inside.client.pfs.inspect_commit(commit=head).commit.id == head.id


def test_a_walk_shows_the_commits_of_one_moment(inside: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    above = inside.put("images", {"/a": b"1"})
    inside.client.pfs.create_repo(repo=inside.repo("edges"))
    inside.client.pfs.create_branch(branch=inside.branch("edges"), provenance=[inside.branch("images")])
    made = inside.client.pfs.inspect_commit(commit=inside.commit("edges", "master")).commit
    repo = pfs.RepoPickerRepoName(
        name="edges", type="user", project=pfs.ProjectPicker(name=inside.project.name)
    )
    start = pfs.CommitPickerCommitByGlobalId(repo=pfs.RepoPicker(name=repo), id=made.id)
    dropped = partial(inside.client.pfs.drop_commit, commit=above, recursive=True)
    after_first(monkeypatch, commits, "provenance_ids", dropped)
    found = list(inside.client.pfs.walk_commit_provenance(start=[pfs.CommitPicker(id=start)]))
    assert [one.commit.id for one in found] == [above.id]


def test_a_pipeline_that_is_deleted_while_jobs_and_pipelines_are_listed_is_left_out(
    server: EmbeddedServer, inside: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = inside.put("images", {"/a": b"1"})
    pps_calls, projects = inside.client.pps, [inside.project]
    deleted = partial(pps_calls.delete_pipeline, pipeline=inside.pipeline("edges"), force=True)
    pickers = [pfs.ProjectPicker(name=inside.project.name)]
    looks: list[tuple[ModuleType, str, Callable[[], Any]]] = [
        (jobs, "select", lambda: list(pps_calls.list_job(projects=projects))),
        (pipelines, "keys", lambda: pps_calls.pipelines_summary(projects=pickers)),
        (pipelines, "keys", lambda: list(pps_calls.list_pipeline(projects=projects))),
    ]
    for module, name, look in looks:
        inside.ended(inside.claim("edges", head, "print(1)", update=False))
        wait_for(lambda: not server.manager._queues, "the worker")
        with monkeypatch.context() as patch:
            after_first(patch, module, name, deleted)
            look()
        assert not list(pps_calls.list_pipeline(projects=projects))
