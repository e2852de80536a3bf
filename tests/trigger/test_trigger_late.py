"""Two runs of one commit, by a request that KFP works off too late: one of them is terminated."""

from __future__ import annotations

import threading

import pytest
from trigger_steps import make_repo, put, started

from tests.waiting import PATIENCE, wait_for


class Slow:
    """A KFP API that makes the first run only when the test says so."""

    def __init__(self, api, at_once):
        self.api, self.at_once = api, at_once
        self.asked, self.go, self.made = threading.Event(), threading.Event(), threading.Event()
        self.late = None
        api.before_create, api.after_create = self.before, self.after

    def before(self, run):
        if not self.asked.is_set():
            self.late = run
            self.asked.set()
            assert self.go.wait(PATIENCE)

    def after(self, run):
        if run is self.late:
            self.made.set()
        elif self.at_once:
            # before the process that asked for the second run knows of it
            self.go.set()
            assert self.made.wait(PATIENCE)


@pytest.mark.parametrize("killed", [True, False])
def test_a_late_second_run_is_told_and_terminated(pachd, kfp_api, repo, trigger, killed):
    make_repo(pachd, repo)
    slow = Slow(kfp_api, at_once=killed)
    first = trigger(lease=2.0)
    wait_for(lambda: first.said("follows"))
    commit = put(pachd, repo)
    assert slow.asked.wait(PATIENCE)
    if killed:
        first.end(kill=True)
    second = trigger(lease=2.0)
    wait_for(lambda: second.said(f"{commit}: run"))
    slow.go.set()
    wait_for(lambda: (second if killed else first).said("is a second one beside"))
    wait_for(lambda: slow.late["state"] == "CANCELING")
    assert second.said("has begun to start its run")
    assert started(kfp_api) == [commit, commit]
    assert sorted(run["state"] for run in kfp_api.runs) == ["CANCELING", "PENDING"]
