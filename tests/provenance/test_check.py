"""`verify` of ancestries looks at each commit once, and reports what it can't look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from calls import counted  # type: ignore[import-not-found]
from histories import History, chain, layered  # type: ignore[import-not-found]
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps
from test_graph import robot  # type: ignore[import-not-found]

from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.provenance import diff, verify

#: The part of `verify`'s answer that all commits of a history cause: their records have no files.
NO_FILES = "its record does not say which files it had: its step might not list them"


def test_a_diamond_is_looked_at_once(server: EmbeddedServer, history: History) -> None:
    with history:
        last = layered(history, 6, 4)
    pachd, calls = counted(server.address)
    with pachd:
        found = verify(str(last), deep=True, client=pachd)
    assert found.ok
    assert len(found.commits) == 6 * 4 + 4 + 1
    assert calls["InspectCommit"] == len(found.commits) + 1
    assert {one.text for one in found.unseen} == {NO_FILES}


def test_a_deep_chain_with_one_fault_at_its_end(server: EmbeddedServer, history: History) -> None:
    with history:
        first = history.step("first", [history.data()], state=pps.JobState.JOB_KILLED, reason="stopped")
        last = chain(history, 200, first=first)
    found = verify(str(last), deep=True, client=server.address)
    assert [(one.commit, one.kind, one.text) for one in found.faults] == [
        (str(first), "unfinished", "it ended with an error: stopped"),
        (str(first), "job", "its job is KILLED: stopped"),
    ]
    assert len(found.commits) == 202


def test_a_pipeline_of_others_in_the_middle(server: EmbeddedServer, history: History) -> None:
    with history:
        foreign = history.foreign("theirs", [history.data()])
        last = history.step("last", [foreign])
    found = verify(str(last), deep=True, client=server.address)
    assert found.ok
    (said,) = [one.text for one in found.unseen if one.commit == str(foreign)]
    assert "no step of kfp-pachyderm" in said
    ((kind, text),) = [(one.kind, one.text) for one in verify(str(foreign), client=server.address).faults]
    assert (kind, "theirs made it" in text) == ("foreign", True)


def test_a_deleted_repo_in_the_middle(server: EmbeddedServer, history: History) -> None:
    with history:
        edges = history.step("edges", [history.data()])
        last = history.step("last", [edges])
    client = Client.from_pachd_address(server.address)
    repo = pfs.Repo(name="edges", type="user", project=pfs.Project(name=history.project))
    pipeline = pps.Pipeline(name="edges", project=repo.project)
    client.pps.delete_pipeline(pipeline=pipeline, keep_repo=True, force=True)
    client.pfs.delete_repo(repo=repo, force=True)
    (fault,) = verify(str(last), client=server.address).faults
    assert (fault.kind, str(edges) in fault.text) == ("missing", True)


def test_an_older_release_wrote_no_record(server: EmbeddedServer, history: History) -> None:
    with history:
        data = history.data()
        before, after = (history.step("edges", [data], recorded=False) for _ in range(2))
    (fault,) = verify(str(before), client=server.address).faults
    assert (fault.kind, "an older release wrote none" in fault.text) == ("record", True)
    (step,) = diff(str(before), str(after), client=server.address).steps
    assert (step.same, step.task) == (True, "edges")
    assert "have no record of them" in step.unseen[0]


def test_every_commit_of_a_run(server: EmbeddedServer, history: History) -> None:
    run = f"run-of-{history.project}"
    with history:
        first = history.step("first", [history.data()], run)
        second = history.step("second", [first], run, recorded=False)
    found = verify(run, client=server.address)
    assert (found.of, {one.commit for one in found.commits}) == (run, {first, second})
    assert [one.commit for one in found.faults] == [str(second)]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("guarded"), 0, True) as running:
        yield running


def test_least_rights_and_missing_ones(guarded: EmbeddedServer) -> None:
    with History(guarded) as history:
        images = history.data()
        secret = history.step("secret", [images])
        last = history.step("last", [secret], parameters={"sigma": 1})
        other = history.step("last", [secret], parameters={"sigma": 2})
    pachd, _ = counted(guarded.address, token=robot(guarded, images, secret, last))
    with pachd:
        found = verify(str(last), deep=True, client=pachd)
        assert (found.ok, len(found.commits)) == (True, 3)
        assert {one.text for one in found.unseen} == {NO_FILES}
    pachd, _ = counted(guarded.address, token=robot(guarded, last))
    with pachd:
        found = verify(str(last), deep=True, client=pachd)
        assert found.ok
        said = [one.text for one in found.unseen if one.commit == str(secret)]
        assert any("may not be looked at" in one for one in said)
        (step,) = diff(str(last), str(other), client=pachd).steps
        assert [(one.name, one.before, one.after) for one in step.parameters] == [("sigma", "1", "2")]
