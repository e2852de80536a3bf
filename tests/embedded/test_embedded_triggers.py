"""Branch triggers: when a branch with a trigger moves, and which commits that makes downstream."""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
import pytest
from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded.status import Refused
from kfp_pachyderm.embedded.store.branch_triggers import conditions, schedule
from tests.waiting import wait_for


@pytest.fixture
def watched(bench):
    """A repo whose `master` gets commits, and branches with triggers on `master`."""
    bench.client.pfs.create_repo(repo=bench.repo("texts"))

    class Watched:
        def __init__(self):
            self.number = 0

        def watch(self, name, **trigger):
            bench.client.pfs.create_branch(
                branch=bench.branch("texts", name),
                trigger=pfs.Trigger(**{"branch": "master", **trigger}),
            )

        def put(self, size=1):
            self.number += 1
            return bench.put("texts", {f"/{self.number}": b"x" * size}).id

        def head(self, name):
            return bench.client.pfs.inspect_branch(branch=bench.branch("texts", name)).head.id

    return Watched()


def test_a_number_of_commits(watched):
    watched.watch("third", commits=3)
    ids, seen = [], []
    for _ in range(7):
        ids.append(watched.put())
        seen.append(watched.head("third"))
    assert [ids.index(one) if one in ids else None for one in seen] == [None, None, 2, 2, 2, 5, 5]


def test_an_amount_of_data(watched):
    watched.watch("big", size="1KB")
    first, second = watched.put(400), watched.put(599)
    assert watched.head("big") not in (first, second)
    third = watched.put(1)
    assert watched.head("big") == third
    watched.put(999)
    assert watched.head("big") == third
    assert watched.put(1) == watched.head("big")


def test_any_or_all_conditions(watched):
    watched.watch("any", commits=2, size="1000")
    watched.watch("all", commits=2, size="1000", all=True)
    watched.watch("neither")
    watched.watch("none", all=True)
    first = watched.put(2000)
    start = watched.head("neither")
    assert watched.head("any") == watched.head("none") == first
    assert watched.head("all") != first
    second = watched.put()
    assert watched.head("all") == second
    assert watched.head("neither") == start


def test_a_rate_limit(watched):
    watched.watch("yearly", rate_limit_spec="@every 8760h")
    watched.watch("often", rate_limit_spec="@every 1s")
    first = watched.put()
    assert watched.head("yearly") != first
    wait_for(lambda: watched.put() == watched.head("often"), "the next second")
    assert watched.head("yearly") != watched.head("often")


def test_chains_and_failed_commits(bench, watched):
    watched.watch("second", commits=2)
    watched.watch("fourth", branch="second", commits=2)
    ids = [watched.put() for _ in range(3)]
    opened = bench.client.pfs.start_commit(branch=bench.branch("texts"))
    bench.client.pfs.finish_commit(commit=opened, error="broken")
    assert watched.head("second") == ids[1]
    ids.append(watched.put())
    assert watched.head("second") == ids[3]
    assert watched.head("fourth") == ids[3]


def test_a_pipeline_on_a_triggered_input_gets_a_job_only_when_it_is_met(bench, watched):
    watched.put()
    inputs = {"pfs": {"repo": "texts", "glob": "/", "trigger": {"commits": 2}}}
    bench.create("count", 'import os; print(len(os.listdir(os.environ["texts"])))', inputs)
    (first,) = bench.client.pps.list_job(pipeline=bench.pipeline("count"))
    bench.ended(first.job)
    watched.put()
    newest, _ = bench.client.pps.list_job(pipeline=bench.pipeline("count"))
    assert bench.ended(newest.job).state == pps.JobState.JOB_SUCCESS
    assert bench.log(newest.job) == ["2"]
    watched.put()
    assert len(list(bench.client.pps.list_job(pipeline=bench.pipeline("count")))) == 2


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        ({"branch": ""}, "triggers must specify a branch to trigger on"),
        ({"size": "much"}, "invalid trigger size"),
        ({"rate_limit_spec": "now and then"}, "invalid trigger rate limit spec"),
        ({"commits": -1}, "can't trigger on a negative number of commits"),
        ({"cron_spec": "@hourly"}, "cron triggers are not implemented by the embedded Pachyderm"),
    ],
)
def test_impossible_conditions_are_refused(watched, trigger, text):
    with pytest.raises(grpc.RpcError) as error:
        watched.watch("x", **{"all": True, **trigger})
    assert text in error.value.details()


def _moment(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("spec", "after", "expected"),
    [
        ("@every 1h30m", "2026-11-23T10:00:00", "2026-11-23T11:30:00"),
        ("@hourly", "2026-11-23T10:00:00", "2026-11-23T11:00:00"),
        ("*/15 * * * *", "2026-11-23T10:14:59", "2026-11-23T10:15:00"),
        ("30 4 1,15 * *", "2026-11-16T00:00:00", "2026-12-01T04:30:00"),
        ("0 0 * * mon-fri", "2026-11-27T12:00:00", "2026-11-30T00:00:00"),
        ("0 0 13 * fri", "2026-11-23T00:00:00", "2026-11-27T00:00:00"),
        ("0 0 29 feb *", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
    ],
)
def test_schedules(spec, after, expected):
    assert schedule.parse(spec).next(_moment(after)) == _moment(expected)


@pytest.mark.parametrize(
    "spec", ["", "@every", "@every soon", "61 * * * *", "* * * *", "5-1 * * * *", "a * * * *"]
)
def test_what_is_no_schedule(spec):
    with pytest.raises(Refused, match="invalid trigger rate limit spec"):
        schedule.parse(spec)


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("1K", 1000), ("1.5MiB", 1_500_000), ("2 gb", 2 * 10**9)]
)
def test_sizes(text, size):
    assert conditions.size_of(text) == size
