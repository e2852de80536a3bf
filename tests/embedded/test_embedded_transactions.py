"""Transactions through the unmodified SDK: all or nothing, one commit set, one job."""

from __future__ import annotations

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps, transaction

_QUICK = "print('ran')"


def test_claim_and_pipeline_in_one_transaction_make_one_job_with_its_id(bench):
    commit = bench.put("images", {"/a": b"1"})
    for update in (False, True, True):
        job = bench.claim("edges", commit, _QUICK, update=update)
        info = bench.ended(job)
        assert (info.state, info.data_total, info.data_processed) == (pps.JobState.JOB_SUCCESS, 1, 1)
        assert info.output_commit.id == job.id
        output = bench.client.pfs.inspect_commit(commit=info.output_commit)
        assert [(one.repo.name, one.repo.type) for one in output.direct_provenance] == [
            ("images", "user"),
            ("edges", "spec"),
        ]
        assert output.direct_provenance[0].id == commit.id
        assert info.details.input.pfs.commit == job.id
    jobs = list(bench.client.pps.list_job(pipeline=bench.pipeline("edges"), history=-1))
    assert len(jobs) == 3
    assert [one.pipeline_version for one in jobs] == [3, 2, 1]
    assert len(list(bench.client.pps.list_job(pipeline=bench.pipeline("edges")))) == 1


def test_moving_the_claim_branch_alone_makes_one_job_even_to_the_same_head(bench):
    commit = bench.put("images", {"/a": b"1"})
    bench.ended(bench.claim("edges", commit, _QUICK, update=False))
    other = bench.put("images", {"/a": b"2"})
    for head in (other, commit, commit):
        job = bench.claim("edges", head)
        assert bench.ended(job).state == pps.JobState.JOB_SUCCESS
    assert len(list(bench.client.pps.list_job(pipeline=bench.pipeline("edges")))) == 4
    bench.put("images", {"/b": b"3"})
    assert len(list(bench.client.pps.list_job(pipeline=bench.pipeline("edges")))) == 4


def test_two_claim_branches_in_one_transaction_make_one_job(bench):
    bench.put("masks", {"/m": b"1"})
    commit = bench.put("images", {"/a": b"1"})
    inputs = {
        "cross": [
            {"pfs": {"repo": repo, "branch": "claim", "glob": "/", "s3": True, "name": repo}}
            for repo in ("images", "masks")
        ]
    }
    with bench.client.transaction.transaction() as made:
        for repo in ("images", "masks"):
            head = (
                commit
                if repo == "images"
                else bench.client.pfs.inspect_branch(branch=bench.branch(repo)).head
            )
            bench.client.pfs.create_branch(branch=bench.branch(repo, "claim"), head=head)
        bench.create("both", _QUICK, inputs)
    jobs = list(bench.client.pps.list_job(pipeline=bench.pipeline("both"), history=-1))
    assert [one.job.id for one in jobs] == [made.id]
    assert bench.ended(bench.job("both", made.id)).data_total == 1


def test_commits_of_one_transaction_are_one_set(bench):
    for repo in ("foo", "bar"):
        bench.client.pfs.create_repo(repo=bench.repo(repo))
    with bench.client.transaction.transaction() as made:
        first = bench.client.pfs.start_commit(branch=bench.branch("foo"))
        second = bench.client.pfs.start_commit(branch=bench.branch("bar"))
    assert first.id == second.id == made.id
    found = bench.client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=made.id))
    assert {one.commit.repo.name for one in found} == {"foo", "bar"}


def test_a_call_that_fails_is_refused_at_once_and_leaves_nothing(bench):
    def twice() -> None:
        with bench.client.transaction.transaction():
            bench.client.pfs.create_repo(repo=bench.repo("one"))
            bench.client.pfs.create_repo(repo=bench.repo("one"))

    before = len(bench.client.transaction.list_transaction().transaction_info)
    with pytest.raises(grpc.RpcError) as error:
        twice()
    assert error.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert error.value.details().startswith("error running request 2 of 2: repo ")
    assert not bench.client.pfs.repo_exists(bench.repo("one"))
    assert len(bench.client.transaction.list_transaction().transaction_info) == before


def test_a_call_that_breaks_the_dag_is_refused_at_once_and_not_kept(bench):
    client = bench.client
    for repo in ("source", "result"):
        client.pfs.create_repo(repo=bench.repo(repo))
    two = [bench.branch("source", "a"), bench.branch("source", "b")]
    for branch in two:
        client.pfs.create_branch(branch=branch)
    made = client.transaction.start_transaction()
    try:
        with pytest.raises(grpc.RpcError, match=r'multiple branches from the same repo, ".*source"'):
            client.pfs.create_branch(branch=bench.branch("result"), provenance=two)
        client.pfs.create_branch(branch=bench.branch("result"), provenance=two[:1])
        client.transaction.finish_transaction(transaction=made)
    finally:
        client.transaction_id = None
    found = client.pfs.inspect_branch(branch=bench.branch("result"))
    assert [one.name for one in found.direct_provenance] == ["a"]


def test_calls_of_a_transaction_make_no_job_before_it_is_finished(bench):
    client = bench.client
    commit = bench.put("images", {"/a": b"1"})
    bench.ended(bench.claim("edges", commit, _QUICK, update=False))
    made = client.transaction.start_transaction()
    client.pfs.create_branch(branch=bench.branch("images", "kfp_edges"), head=commit)
    client.transaction_id = None
    assert len(list(client.pps.list_job(pipeline=bench.pipeline("edges")))) == 1
    assert made.id not in [one.commit_set.id for one in client.pfs.list_commit_set(project=bench.project)]
    client.transaction.finish_transaction(transaction=made)
    assert bench.ended(bench.job("edges", made.id)).state == pps.JobState.JOB_SUCCESS


def test_what_changed_meanwhile_fails_the_whole_transaction_when_it_is_finished(bench):
    client = bench.client
    made = client.transaction.start_transaction()
    client.pfs.create_repo(repo=bench.repo("first"))
    client.pfs.create_repo(repo=bench.repo("taken"))
    client.transaction_id = None
    client.pfs.create_repo(repo=bench.repo("taken"))
    with pytest.raises(grpc.RpcError, match="error running request 2 of 2"):
        client.transaction.finish_transaction(transaction=made)
    client.transaction_id = None
    assert not client.pfs.repo_exists(bench.repo("first"))
    assert len(client.transaction.inspect_transaction(transaction=made).requests) == 2
    client.transaction.delete_transaction(transaction=made)
    with pytest.raises(grpc.RpcError) as error:
        client.transaction.inspect_transaction(transaction=made)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_batch_answers_every_request(bench):
    repo = bench.repo("batch")
    requests = [
        transaction.TransactionRequest(create_repo=pfs.CreateRepoRequest(repo=repo)),
        transaction.TransactionRequest(start_commit=pfs.StartCommitRequest(branch=bench.branch("batch"))),
    ]
    info = bench.client.transaction.batch_transaction(requests=requests)
    assert info.responses[1].commit.id == info.transaction.id
    assert bench.client.pfs.commit_exists(info.responses[1].commit)
