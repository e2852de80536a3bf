"""Projects, repos, branches and commits through the unmodified SDK."""

from __future__ import annotations

import grpc
import pytest
from embedded_bench import without_auth
from pachyderm_sdk.api import pfs, transaction
from pachyderm_sdk.errors import AuthServiceNotActivated


def test_what_exists_already_or_does_not_is_said_as_pachyderm_does(bench):
    bench.client.pfs.create_repo(repo=bench.repo("images"))
    with pytest.raises(grpc.RpcError) as error:
        bench.client.pfs.create_repo(repo=bench.repo("images"))
    assert error.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert error.value.details() == f"repo {bench.project.name}/images already exists"
    bench.client.pfs.create_repo(repo=bench.repo("images"), description="pictures", update=True)
    assert bench.client.pfs.inspect_repo(repo=bench.repo("images")).description == "pictures"
    with pytest.raises(grpc.RpcError) as error:
        bench.client.pfs.inspect_repo(repo=bench.repo("nothing"))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert error.value.details() == f"repo {bench.project.name}/nothing not found"
    with pytest.raises(grpc.RpcError) as error:
        bench.client.pfs.inspect_branch(branch=bench.branch("images", "nope"))
    assert error.value.details() == f'branch "nope" not found in repo {bench.project.name}/images'
    with pytest.raises(grpc.RpcError, match=r"name \(a.b\) invalid: only alphanumeric"):
        bench.client.pfs.create_repo(repo=bench.repo("a.b"))
    with pytest.raises(grpc.RpcError, match="already exists"):
        bench.client.pfs.create_project(project=bench.project)


def test_projects_are_listed_inspected_and_deleted(bench):
    assert bench.client.pfs.project_exists(pfs.Project(name="default"))
    assert bench.project.name in [one.project.name for one in bench.client.pfs.list_project()]
    bench.put("images", {"/a": b"1"})
    with pytest.raises(grpc.RpcError, match="without force"):
        bench.client.pfs.delete_project(project=bench.project)
    bench.client.pfs.delete_project(project=bench.project, force=True)
    assert not bench.client.pfs.project_exists(bench.project)


def test_a_commit_goes_from_open_to_finished_with_its_parent_size_and_times(bench):
    first = bench.put("images", {"/a": b"12345"})
    opened = bench.client.pfs.start_commit(branch=bench.branch("images"), description="second")
    info = bench.client.pfs.inspect_commit(commit=opened)
    assert (info.parent_commit.id, info.description) == (first.id, "second")
    assert not info.is_set("finished")
    with pytest.raises(grpc.RpcError, match="has not been finished"):
        bench.client.pfs.start_commit(branch=bench.branch("images"))
    bench.client.pfs.finish_commit(commit=opened)
    info = bench.client.pfs.wait_commit(opened)
    assert info.finished >= info.started
    assert info.details.size_bytes == 5
    with pytest.raises(grpc.RpcError, match="has already finished"):
        bench.client.pfs.finish_commit(commit=opened)
    with pytest.raises(grpc.RpcError, match="cannot clear finished commit"):
        bench.client.pfs.clear_commit(commit=opened)
    assert [one.commit.id for one in bench.client.pfs.list_commit(repo=bench.repo("images"))] == [
        opened.id,
        first.id,
    ]


def test_an_id_is_a_uuid4_without_dashes_and_ancestry_is_understood(bench):
    first = bench.put("images", {"/a": b"1"})
    second = bench.put("images", {"/b": b"2"})
    assert len(second.id) == 32
    assert second.id[12] == "4"
    for text, expected in (
        ("master", second),
        ("master^", first),
        ("master.1", first),
        (second.id + "^1", first),
    ):
        found = bench.client.pfs.inspect_commit(commit=bench.commit("images", text))
        assert found.commit.id == expected.id
    with pytest.raises(grpc.RpcError) as error:
        bench.client.pfs.inspect_commit(commit=bench.commit("images", "master^2"))
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_commit_finished_with_an_error_is_skipped_as_a_base_and_still_read(bench):
    good = bench.put("images", {"/good": b"1"})
    bad = bench.client.pfs.start_commit(branch=bench.branch("images"))
    bench.client.pfs.put_file_from_bytes(commit=bad, path="/bad", data=b"2")
    bench.client.pfs.finish_commit(commit=bad, error="broken on purpose")
    assert bench.client.pfs.inspect_commit(commit=bad).error == "broken on purpose"
    assert bench.client.pfs.inspect_branch(branch=bench.branch("images")).head.id == bad.id
    assert bench.paths(bench.commit("images", bad.id)) == ["/bad", "/good"]
    assert bench.paths(bench.put("images", {"/next": b"3"})) == ["/good", "/next"]
    assert bench.paths(good) == ["/good"]


def test_commit_sets_are_squashed_and_dropped_by_pachyderms_rules(bench):
    first = bench.put("images", {"/a": b"1"})
    second = bench.put("images", {"/b": b"2"})
    with pytest.raises(grpc.RpcError, match="cannot drop a commit that has children"):
        bench.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=first.id))
    with pytest.raises(grpc.RpcError, match="cannot squash a commit that has no children"):
        bench.client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=second.id))
    bench.client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=first.id))
    assert bench.paths(second) == ["/a", "/b"]
    third = bench.put("images", {"/c": b"3"})
    bench.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=third.id))
    assert bench.client.pfs.inspect_branch(branch=bench.branch("images")).head.id == second.id
    with pytest.raises(grpc.RpcError) as error:
        list(bench.client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=third.id)))
    assert error.value.details() == f"no commits found for commitset {third.id}"


@pytest.mark.parametrize("whole_set", [True, False])
def test_branches_whose_only_commit_is_dropped_share_one_empty_commit(bench, whole_set):
    only = bench.put("images", {"/a": b"1"})
    bench.client.pfs.create_branch(branch=bench.branch("images", "other"), head=only)
    if whole_set:
        bench.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=only.id))
    else:
        bench.client.pfs.drop_commit(commit=only)
    (left,) = bench.client.pfs.list_commit(repo=bench.repo("images"))
    heads = {one.branch.name: one.head.id for one in bench.client.pfs.list_branch(repo=bench.repo("images"))}
    assert heads == {"master": left.commit.id, "other": left.commit.id}
    assert left.commit.id != only.id
    assert (left.origin.kind, bench.paths(left.commit)) == (pfs.OriginKind.AUTO, [])
    assert bench.paths(bench.put("images", {"/b": b"2"}, "other")) == ["/b"]


def test_downstream_branches_follow_in_the_same_commit_set(bench):
    bench.put("images", {"/a": b"1"})
    bench.client.pfs.create_repo(repo=bench.repo("derived"))
    bench.client.pfs.create_branch(branch=bench.branch("derived"), provenance=[bench.branch("images")])
    commit = bench.put("images", {"/b": b"2"})
    found = list(bench.client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id)))
    assert [one.commit.repo.name for one in found] == ["images", "derived"]
    assert found[1].direct_provenance[0].id == commit.id
    # InspectCommitSet also returns the commits that the set comes from.
    bench.client.pfs.create_repo(repo=bench.repo("later"))
    bench.client.pfs.create_branch(branch=bench.branch("later"), provenance=[bench.branch("derived")])
    later = bench.client.pfs.inspect_branch(branch=bench.branch("later")).head
    assert later.id != commit.id
    found = list(bench.client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=later.id)))
    assert [one.commit.repo.name for one in found] == ["images", "derived", "later"]
    with pytest.raises(grpc.RpcError, match="cannot start a commit on an output branch"):
        bench.client.pfs.start_commit(branch=bench.branch("derived"))
    with pytest.raises(grpc.RpcError, match="cannot be deleted"):
        bench.client.pfs.delete_repo(repo=bench.repo("images"))
    picker = bench.commit("derived", commit.id).as_picker()
    walked = bench.client.pfs.walk_commit_provenance(start=[picker])
    # The start is not among them (measured on a real pachd).
    assert [one.commit.repo.name for one in walked] == ["images"]


def test_subscribing_gives_old_commits_then_new_ones(bench):
    first = bench.put("images", {"/a": b"1"})
    stream = bench.client.pfs.subscribe_commit(
        repo=bench.repo("images"), branch="master", state=pfs.CommitState.FINISHED
    )
    assert next(stream).commit.id == first.id
    second = bench.put("images", {"/b": b"1"})
    assert next(stream).commit.id == second.id
    stream.close()


def test_a_branch_trigger_moves_its_branch_when_a_commit_finishes(bench):
    bench.put("images", {"/a": b"1"})
    trigger = pfs.Trigger(branch="master", commits=2)
    bench.client.pfs.create_branch(branch=bench.branch("images", "every-second"), trigger=trigger)
    before = bench.client.pfs.inspect_branch(branch=bench.branch("images", "every-second")).head.id
    heads = [bench.put("images", {"/a": b"2"}).id for _ in range(2)]
    after = bench.client.pfs.inspect_branch(branch=bench.branch("images", "every-second")).head.id
    assert after in heads
    assert after != before


@without_auth
def test_auth_is_off_and_absent_calls_are_named(bench):
    with pytest.raises(AuthServiceNotActivated):
        bench.client.auth.who_am_i()
    with pytest.raises(grpc.RpcError) as error:
        bench.client.pfs.egress()
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "pfs_v2.API/Egress" in error.value.details()
    assert bench.client.get_version().major == 2
    cluster = bench.client.admin.inspect_cluster()
    assert cluster.deployment_id


def test_branches_of_one_repo_can_not_hang_together_but_their_commits_can(bench):
    first, second = bench.put("part", {"/x": b"1"}), bench.put("part", {"/x": b"2"})
    bench.client.pfs.create_repo(repo=bench.repo("all"))
    sources = [bench.branch("part", "one"), bench.branch("part", "two")]
    for branch, head in zip(sources, (first, second), strict=True):
        bench.client.pfs.create_branch(branch=branch, head=head)
    with pytest.raises(grpc.RpcError) as error:
        bench.client.pfs.create_branch(branch=bench.branch("all"), provenance=sources)
    assert error.value.code() is grpc.StatusCode.UNKNOWN
    assert error.value.details() == (
        "validate DAG at end of transaction: multiple branches from the same repo, "
        f'"{bench.project.name}/part", cannot participate in a DAG'
    )
    joined, alone = (
        pfs.CreateBranchRequest(branch=bench.branch("all"), provenance=one) for one in (sources, [])
    )
    requests = [transaction.TransactionRequest(create_branch=one) for one in (joined, alone)]
    made = bench.commit("all", bench.client.transaction.batch_transaction(requests=requests).transaction.id)
    for branch in sources:
        bench.client.pfs.delete_branch(branch=branch)
    changes = [
        pfs.ModifyFileRequest(copy_file=pfs.CopyFile(dst=f"/{index}/", src=pfs.File(commit=one, path="/")))
        for index, one in enumerate((first, second))
    ]
    bench.client.pfs.modify_file(iter([pfs.ModifyFileRequest(set_commit=made), *changes]))
    bench.client.pfs.finish_commit(commit=made)
    assert bench.paths(made) == ["/0/x", "/1/x"]
    info = bench.client.pfs.inspect_commit(commit=made)
    assert {one.id for one in info.direct_provenance} == {first.id, second.id}
    assert info.parent_commit.id == ""
