"""`kfp-pachyderm trigger` with an embedded Pachyderm and a server that speaks KFP's API: once per commit."""

from __future__ import annotations

import random
import time

import pytest
from trigger_steps import make_repo, metadata, put, started

from tests.kfp_api import HangUp
from tests.kfp_store import Refused
from tests.long import long
from tests.waiting import wait_for


def ready(trigger):
    return wait_for(lambda: trigger.said("follows") or trigger.process.poll() is not None, "the trigger")


def test_each_new_commit_starts_one_run_and_those_before_none(pachd, kfp_api, repo, trigger):
    make_repo(pachd, repo)
    put(pachd, repo)
    first = trigger("-p", "epochs=3")
    ready(first)
    commits = [put(pachd, repo) for _ in range(3)]
    wait_for(lambda: len(kfp_api.runs) == 3)
    wait_for(lambda: first.said(f"{commits[-1]}: run"))
    assert first.end() == 0
    # commits made while no trigger runs start runs later
    commits += [put(pachd, repo), put(pachd, repo)]
    second = trigger("-p", "epochs=3")
    wait_for(lambda: second.said(f"{commits[-1]}: run"))
    assert second.end() == 0
    assert started(kfp_api) == commits
    assert {one["runtime_config"]["parameters"]["epochs"] for one in kfp_api.runs} == {3}
    assert list(metadata(pachd, commits[0]).values()) == [kfp_api.runs[0]["run_id"]]


def test_of_several_only_the_newest_with_latest_and_failed_ones_never(pachd, kfp_api, repo, trigger):
    make_repo(pachd, repo)
    # a branch that is not there yet: its first commit is new
    ready(one := trigger("--latest"))
    one.end()
    put(pachd, repo)
    newest = put(pachd, repo)
    failed = put(pachd, repo, error="it broke")
    other = trigger("--latest")
    wait_for(lambda: other.said(f"{newest}: run"))
    wait_for(lambda: other.said(f"{failed} failed and starts no run: it broke"))
    other.end()
    assert started(kfp_api) == [newest]


def test_from_a_commit_and_a_name_is_for_one_branch(pachd, kfp_api, repo, trigger):
    make_repo(pachd, repo)
    put(pachd, repo)
    commits = [put(pachd, repo), put(pachd, repo)]
    one = trigger("--from", commits[0].partition("@")[2], "--name", repo)
    wait_for(lambda: one.said(f"{commits[1]}: run"))
    one.end()
    assert started(kfp_api) == commits
    other = trigger("--from", commits[1].partition("@")[2], "--name", repo)
    assert other.process.wait() == 1
    wait_for(lambda: other.said("not from"))


def test_a_failed_start_is_told_and_tried_again(pachd, kfp_api, repo, trigger):
    make_repo(pachd, repo)
    ready(one := trigger(lease=1.5))
    answers = [Refused(13, "Internal Server Error"), HangUp(), Refused(14, "away")]

    def after(run):
        if answers:
            raise answers.pop(0)

    kfp_api.before_create = after
    commit = put(pachd, repo)
    wait_for(lambda: one.said(f"{commit}: run"))
    assert one.said("Internal Server Error")
    assert started(kfp_api) == [commit]
    # a run that was made though the answer was an error is found
    kfp_api.before_create = None
    answers[:] = [Refused(13, "Internal Server Error"), HangUp()]
    kfp_api.after_create = after
    more = [put(pachd, repo), put(pachd, repo)]
    wait_for(lambda: one.said(f"{more[1]}: run"))
    one.end()
    assert started(kfp_api) == [commit, *more]


def test_pauses_grow_only_while_nothing_is_started(pachd, kfp_api, repo, trigger):
    make_repo(pachd, repo)
    ready(one := trigger())
    refused = []

    def first_time(run):
        if run["display_name"] not in refused:
            refused.append(run["display_name"])
            raise Refused(3, "not now")

    kfp_api.before_create = first_time
    commits = [put(pachd, repo) for _ in range(3)]
    wait_for(lambda: one.said(f"{commits[2]}: run"))
    one.end()
    assert started(kfp_api) == commits
    assert len(refused) == 3
    assert one.said("trying again in 1 s")
    assert not one.said("trying again in 2 s")


def test_two_triggers_start_each_commit_once(pachd, kfp_api, repo, trigger):
    make_repo(pachd, repo)
    both = [trigger(), trigger()]
    for one in both:
        ready(one)
    commits = [put(pachd, repo) for _ in range(8)]
    wait_for(lambda: len(kfp_api.runs) >= 8 and not metadata_open(pachd, commits))
    for one in both:
        one.end()
    assert started(kfp_api) == commits


def metadata_open(pachd, commits):
    return [one for one in commits if not any(key.endswith("/run") for key in metadata(pachd, one))]


def die_somewhere(trigger, pachd, kfp_api, commits, dice):
    """Kills the trigger between its first request for the commits and the last."""
    wanted = len(kfp_api.requests) + dice.randint(0, 8)
    wait_for(lambda: len(kfp_api.requests) >= wanted or not metadata_open(pachd, commits))
    time.sleep(dice.random() * 0.01)
    trigger.end(kill=True)
    kfp_api.wait_until_quiet()


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=long)])
def test_killed_at_any_moment_each_commit_has_one_run(pachd, kfp_api, repo, trigger, kills):
    dice = random.Random(kills)
    make_repo(pachd, repo)
    trigger_now = trigger(lease=1.5)
    ready(trigger_now)
    commits = []
    for _ in range(kills):
        commits += [put(pachd, repo) for _ in range(dice.randint(1, 2))]
        die_somewhere(trigger_now, pachd, kfp_api, commits, dice)
        trigger_now = trigger(lease=1.5)
    wait_for(lambda: not metadata_open(pachd, commits))
    assert trigger_now.end() == 0
    assert started(kfp_api) == commits
    for commit in commits:
        assert len(metadata(pachd, commit)) == 1, "claims are gone"
