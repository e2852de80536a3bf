"""Branches that are moved, deleted or made; a pipeline that KFP has; bad input."""

from __future__ import annotations

import kfp
import pytest
from click.testing import CliRunner
from trigger_steps import Trigger, make_repo, put, started

from kfp_pachyderm.cli import main
from kfp_pachyderm.pachd.references import repo_message
from kfp_pachyderm.pachd.sdk import pfs
from tests.waiting import wait_for


def branch(repo, name="master"):
    return pfs.Branch(repo=repo_message("default", repo), name=name)


def move(pachd, repo, commit, name="master"):
    head = pfs.Commit(repo=repo_message("default", repo), id=commit.partition("@")[2])
    pachd.pfs.create_branch(head=head, branch=branch(repo, name))


def test_a_branch_that_is_moved_deleted_and_made_again(pachd, kfp_api, repo, trigger):
    make_repo(pachd, repo)
    unrelated = put(pachd, repo, "elsewhere")
    one = trigger()
    wait_for(lambda: one.said("there is no such branch; waiting for it"))
    pachd.pfs.create_branch(branch=branch(repo))
    wait_for(lambda: one.said("is what the branch was made with"))
    commits = [put(pachd, repo)]
    wait_for(lambda: one.said(f"{commits[0]}: run"))
    # The branch moves forward: all commits in between are new, also those made on another branch.
    move(pachd, repo, commits[0], "dev")
    commits += [put(pachd, repo, "dev"), put(pachd, repo, "dev")]
    move(pachd, repo, commits[2])
    wait_for(lambda: one.said(f"{commits[2]}: run"))
    # The branch moves back, then to a commit older than the trigger: no run starts.
    move(pachd, repo, commits[0])
    move(pachd, repo, unrelated)
    pachd.pfs.delete_branch(branch=branch(repo))
    commits.append(put(pachd, repo))
    wait_for(lambda: one.said(f"{commits[3]}: run"))
    assert one.end() == 0
    assert started(kfp_api) == commits


def test_a_pipeline_that_kfp_has_in_its_newest_version(pachd, kfp_api, repo, package, server, trigger):
    make_repo(pachd, repo)
    with pytest.warns(FutureWarning):
        client = kfp.Client(host=kfp_api.url)
    pipeline = client.upload_pipeline(str(package), repo).pipeline_id
    given = [f"{repo}@master", "--pipeline", repo, "--parameter", "images", "--experiment", "nightly"]
    one = Trigger(server, kfp_api.url, 60, *given)
    try:
        wait_for(lambda: one.said("follows"))
        put(pachd, repo)
        wait_for(lambda: len(kfp_api.runs) == 1)
        newest = client.upload_pipeline_version(str(package), "two", pipeline_id=pipeline)
        last = put(pachd, repo)
        wait_for(lambda: one.said(f"{last}: run"))
    finally:
        assert one.end() == 0
    first, second = (run["pipeline_version_reference"]["pipeline_version_id"] for run in kfp_api.runs)
    assert first != second == newest.pipeline_version_id
    experiment = client.get_experiment(experiment_name="nightly").experiment_id
    assert {run["experiment_id"] for run in kfp_api.runs} == {experiment}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-p", "epoch=3"], "no parameter 'epoch'; it has: epochs, images"),
        (["-p", "epochs=many"], "takes NUMBER_INTEGER"),
        (["-p", "epochs"], "write NAME=VALUE"),
        (["--parameter", "epochs"], "'epochs' is no str"),
        (["--pipeline", "other"], "name what to run"),
        (["--from", "master"], "name a commit of"),
        (["--name", "a/b"], "make a name"),
        (["--from", "0" * 32], "has no such commit"),
    ],
)
def test_bad_input_is_told_and_nothing_is_written(pachd, kfp_api, repo, package, server, arguments, text):
    make_repo(pachd, repo)
    before = dict(pachd.pfs.inspect_project(project=pfs.Project(name="default")).metadata)
    given = [f"{repo}@master", "--package", str(package), *arguments, "--kfp", kfp_api.url]
    if "--parameter" not in arguments:
        given += ["--parameter", "images"]
    ended = CliRunner().invoke(main, ["trigger", *given, "--address", server])
    assert (ended.exit_code, text in ended.output) == (1, True), ended.output
    assert dict(pachd.pfs.inspect_project(project=pfs.Project(name="default")).metadata) == before
    assert kfp_api.runs == []
