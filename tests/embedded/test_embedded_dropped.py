"""Commits that are dropped and squashed: what branches and jobs are left with.

Source of the answers: Pachyderm src/server/pfs/server/server_commit_set.go (deleteCommit),
src/server/pps/server/transaction_defer.go, src/server/worker/pipeline/transform.
"""

from __future__ import annotations

import grpc
import pytest
from embedded_bench import Bench
from pachyderm_sdk.api import pfs, pps

from tests.waiting import wait_for

State = pps.JobState
_SLEEP = "import time; time.sleep(600)"


def files() -> dict[str, object]:
    return {"pfs": {"repo": "images", "glob": "/*", "name": "images"}}


def head(bench: Bench, repo: str) -> pfs.CommitInfo:
    found: pfs.CommitInfo = bench.client.pfs.inspect_commit(
        commit=pfs.Commit(repo=bench.repo(repo), branch=bench.branch(repo))
    )
    return found


def is_open(info: pfs.CommitInfo) -> bool:
    return info.finishing.timestamp() == 0


def derived(bench: Bench) -> pfs.Commit:
    """Makes a repo and, in the same commit set, one that comes from it, each with one finished commit."""
    for repo in ("images", "derived"):
        bench.client.pfs.create_repo(repo=bench.repo(repo))
    with bench.client.transaction.transaction():
        commit = bench.client.pfs.start_commit(branch=bench.branch("images"))
        bench.client.pfs.create_branch(branch=bench.branch("derived"), provenance=[bench.branch("images")])
    for repo in ("images", "derived"):
        bench.client.pfs.finish_commit(commit=bench.commit(repo, commit.id))
    return bench.commit("images", commit.id)


@pytest.mark.parametrize("whole_set", [True, False])
def test_a_branch_with_provenance_is_left_with_an_open_commit_on_the_new_heads(
    bench: Bench, whole_set: bool
) -> None:
    only = derived(bench)
    if whole_set:
        bench.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=only.id))
    else:
        bench.client.pfs.drop_commit(commit=only, recursive=True)
    above, below = head(bench, "images"), head(bench, "derived")
    assert (is_open(above), is_open(below)) == (False, True)
    assert above.commit.id == below.commit.id != only.id
    assert [(one.repo.name, one.id) for one in below.direct_provenance] == [("images", above.commit.id)]
    assert below.origin.kind == pfs.OriginKind.AUTO
    bench.client.pfs.finish_commit(commit=below.commit)
    commit = bench.put("images", {"/a": b"1"})
    assert head(bench, "derived").commit.id == commit.id


def test_a_commit_with_a_parent_leaves_the_branch_with_the_parent(bench: Bench) -> None:
    first = derived(bench)
    second = bench.put("images", {"/a": b"1"})
    bench.client.pfs.drop_commit(commit=second, recursive=True)
    assert (head(bench, "images").commit.id, head(bench, "derived").commit.id) == (first.id, first.id)
    assert not is_open(head(bench, "derived"))


@pytest.mark.parametrize("s3", [True, False])
def test_a_job_waits_for_the_open_commit_that_a_dropped_output_left(bench: Bench, s3: bool) -> None:
    commit = bench.put("images", {"/a": b"1"})
    if s3:
        first = bench.claim("copy", commit, "pass", update=False)
    else:
        bench.create("copy", "pass", files())
        first = only_job(bench)
    assert bench.ended(first).state == State.JOB_SUCCESS
    bench.client.pfs.drop_commit(commit=bench.commit("copy", first.id))
    left = head(bench, "copy")
    assert is_open(left)
    assert [one.job.id for one in bench.client.pps.list_job(pipeline=bench.pipeline("copy"))] == [first.id]
    assert bench.client.pps.inspect_job(job=first).state == State.JOB_SUCCESS
    second = bench.claim("copy", commit) if s3 else bench.job("copy", bench.put("images", {"/b": b"1"}).id)

    wait_for(lambda: waits(bench, second))
    found = bench.client.pps.inspect_job(job=second)
    assert (found.state, found.restart) == ((State.JOB_RUNNING, 1) if s3 else (State.JOB_FINISHING, 0))
    bench.client.pfs.finish_commit(commit=left.commit, force=True)
    assert bench.ended(second).state == State.JOB_SUCCESS


def waits(bench: Bench, job: pps.Job) -> bool:
    return any("output commit is open" in one.message for one in bench.client.pps.get_logs(job=job))


def only_job(bench: Bench) -> pps.Job:
    (found,) = bench.client.pps.list_job(pipeline=bench.pipeline("copy"))
    job: pps.Job = found.job
    return job


def test_a_job_that_waits_for_an_open_commit_can_be_stopped(bench: Bench) -> None:
    commit = bench.put("images", {"/a": b"1"})
    first = bench.claim("copy", commit, "pass", update=False)
    bench.ended(first)
    bench.client.pfs.drop_commit(commit=bench.commit("copy", first.id))
    second = bench.claim("copy", commit)
    wait_for(lambda: waits(bench, second))
    bench.client.pps.stop_job(job=second)
    assert bench.ended(second).state == State.JOB_KILLED


def test_a_dropped_output_ends_its_own_job_and_no_other(bench: Bench) -> None:
    bench.put("images", {"/a": b"1"})
    for name in ("one", "two"):
        bench.create(name, _SLEEP, files())
    commit = bench.put("images", {"/b": b"1"})
    bench.client.pfs.drop_commit(commit=bench.commit("one", commit.id))
    killed, left = (bench.client.pps.inspect_job(job=bench.job(name, commit.id)) for name in ("one", "two"))
    assert (killed.state, killed.reason) == (State.JOB_KILLED, "output commit removed")
    assert left.state not in (State.JOB_KILLED, State.JOB_FAILURE)
    meta = pfs.Repo(name="one", type="meta", project=bench.project)
    assert is_open(bench.client.pfs.inspect_commit(commit=pfs.Commit(repo=meta, id=commit.id)))
    for name in ("one", "two"):
        bench.client.pps.delete_pipeline(pipeline=bench.pipeline(name), force=True)


def test_the_jobs_of_all_that_is_dropped_with_a_commit_end(bench: Bench) -> None:
    first = bench.put("images", {"/a": b"1"})
    bench.create("one", _SLEEP, files())
    (job,) = bench.client.pps.list_job(pipeline=bench.pipeline("one"))
    assert job.job.id != first.id
    bench.client.pfs.drop_commit(commit=first, recursive=True)
    ended = bench.client.pps.inspect_job(job=job.job)
    assert (ended.state, ended.reason) == (State.JOB_KILLED, "output commit removed")
    bench.client.pps.delete_pipeline(pipeline=bench.pipeline("one"), force=True)


def test_a_commit_on_which_an_open_one_builds_is_not_squashed(bench: Bench) -> None:
    first = bench.put("images", {})
    child = bench.client.pfs.start_commit(branch=bench.branch("images"))
    text = f"cannot squash until child commit {bench.project.name}/images@{child.id} is finished"
    for squash in (
        lambda: bench.client.pfs.squash_commit(commit=first),
        lambda: bench.client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=first.id)),
    ):
        with pytest.raises(grpc.RpcError) as error:
            squash()
        assert error.value.details() == text


def test_a_set_that_changed_a_pipeline_stays(bench: Bench) -> None:
    commit = bench.put("images", {"/a": b"1"})
    job = bench.claim("copy", commit, "pass", update=False)
    bench.ended(job)
    for remove in (bench.client.pfs.drop_commit_set, bench.client.pfs.squash_commit_set):
        with pytest.raises(grpc.RpcError, match=r"cannot squash commit .*copy\.spec@.* because it updated a"):
            remove(commit_set=pfs.CommitSet(id=job.id))


def test_a_set_that_is_not_there_is_removed_without_a_word(bench: Bench) -> None:
    absent = pfs.CommitSet(id="0" * 12 + "4" + "0" * 19)
    bench.client.pfs.drop_commit_set(commit_set=absent)
    bench.client.pfs.squash_commit_set(commit_set=absent)


def test_a_job_that_waits_for_an_open_commit_has_its_timeout(bench: Bench) -> None:
    commit = bench.put("images", {"/a": b"1"})
    first = bench.claim("copy", commit, "pass", update=False, jobTimeout="1s")
    bench.ended(first)
    bench.client.pfs.drop_commit(commit=bench.commit("copy", first.id))
    ended = bench.ended(bench.claim("copy", commit))
    assert (ended.state, ended.reason, ended.restart) == (State.JOB_KILLED, " jobtimed out", 1)
