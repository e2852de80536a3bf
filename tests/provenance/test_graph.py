"""The lineage graph: from Pachyderm alone, in both directions, for everything that names a commit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from calls import counted  # type: ignore[import-not-found]
from histories import History, chain, layered  # type: ignore[import-not-found]
from pachyderm_sdk import Client
from pachyderm_sdk.api import auth, pfs, pps

from kfp_pachyderm import provenance
from kfp_pachyderm.embedded.server import EmbeddedServer
from kfp_pachyderm.errors import CommitNotFoundError, CommitReferenceError, NotFoundError, RepoNotFoundError
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance import Lineage, Node
from kfp_pachyderm.provenance.graph import assemble

FAILURE = pps.JobState.JOB_FAILURE


def titles(lineage: Lineage) -> list[str]:
    return [node.title for node in lineage.nodes]


def node(lineage: Lineage, title: str) -> Node:
    (found,) = (one for one in lineage.nodes if one.title == title)
    return found


def ask(server: EmbeddedServer, of: object, **options: object) -> Lineage:
    return provenance.lineage(str(of), client=server.address, **options)  # type: ignore[arg-type]


def test_a_step_says_all_that_is_known(server: EmbeddedServer, history: History) -> None:
    with history:
        images = history.data()
        edges = history.step("edges", [images], "run-7", pipeline="pictures", parameters={"sigma": 1.5})
    found = node(ask(server, edges), "edges")
    assert found.record is not None
    task, code = found.record.task, found.record.code
    assert (task.pipeline, task.run, task.task, task.attempt) == ("pictures", "run-7", "edges", "attempt-1")
    assert (task.image, task.digest, code.parameters) == ("python:3.11", "sha256:c0de", {"sigma": 1.5})
    assert (found.kind, found.state, found.size, found.inputs) == ("step", "SUCCESS", 1234, (images,))
    assert found.job is not None
    assert (found.job.id, found.job.seconds, found.job.version) == (edges.version, 2.0, 1)
    assert found.finished is not None
    assert not found.bare
    source = node(ask(server, edges), "images")
    assert (source.kind, source.state, source.record, source.job, source.bare) == (
        "source",
        "FINISHED",
        None,
        None,
        "",
    )


def test_both_directions_and_depth(server: EmbeddedServer, history: History) -> None:
    with history:
        images = history.data()
        last = chain(history, 3, first=images)
        history.step("aside", [images], "run-2")
    assert titles(ask(server, last)) == ["step-2", "step-1", "step-0", "images"]
    assert titles(ask(server, last, depth=1)) == ["step-2", "step-1"]
    assert titles(ask(server, last, depth=0)) == ["step-2"]
    down = ask(server, images, down=True)
    assert titles(down)[0] == "images"
    assert set(titles(down)) == {"images", "step-0", "aside", "step-1", "step-2"}
    assert set(titles(ask(server, images, down=True, depth=1))) == {"images", "step-0", "aside"}
    assert {(str(one), str(other)) for one, other in down.edges()} == {
        (str(one), str(made.commit)) for made in down.nodes for one in made.inputs
    }


def test_from_anything(server: EmbeddedServer, history: History) -> None:
    with history:
        images = history.data()
        edges = history.step("edges", [images], f"run-of-{history.project}")
        history.step("montage", [edges, images], f"run-of-{history.project}")
    whole = {"montage", "edges", "images"}
    by_job = ask(server, edges.version)
    # the job's commit set has the commits that it was made from, too
    assert (by_job.roots, titles(by_job)) == ((edges,), ["edges", "images"])
    by_run = ask(server, f"run-of-{history.project}")
    assert set(titles(by_run)) == whole
    assert (len(by_run.roots), by_run.run) == (2, f"run-of-{history.project}")
    assert titles(provenance.of_run(server.address, by_run.run)) == titles(by_run)
    assert titles(ask(server, f"edges@{edges.version}", project=history.project)) == ["edges", "images"]


def test_a_branch_and_a_file(server: EmbeddedServer, history: History) -> None:
    with history:
        pass
    client = Client.from_pachd_address(server.address)
    repo = pfs.Repo(name="data", type="user", project=pfs.Project(name=history.project))
    client.pfs.create_repo(repo=repo)
    with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
        commit.put_file_from_bytes(path="/a/b c.txt", data=b"1")
    where = f"{history.project}/data"
    by_branch = ask(server, f"{where}@master")
    assert str(by_branch.roots[0]) == f"{where}@{commit.id}"
    by_file = ask(server, f"{where}@{commit.id}:/a/b c.txt")
    assert (by_file.roots, by_file.file) == (by_branch.roots, "/a/b c.txt")
    with pytest.raises(NotFoundError, match=r"has no file '/nothing'; see what it has: kfp-pachyderm files"):
        ask(server, f"{where}@master:/nothing")


def test_what_is_not_there(server: EmbeddedServer, history: History) -> None:
    with history:
        images = history.data()
    with pytest.raises(RepoNotFoundError, match="has no repo 'nothing'"):
        ask(server, f"{history.project}/nothing@master")
    with pytest.raises(CommitNotFoundError, match="has no such commit"):
        ask(server, f"{images.project}/{images.repo}@{'0' * 32}")
    for text in ("no-run", "0" * 32):
        with pytest.raises(NotFoundError, match=r"KFP's cache made none.*a job's ID or a KFP run's ID"):
            ask(server, text)
    with pytest.raises(CommitReferenceError, match="is no commit reference"):
        ask(server, "a b@c")


def test_what_an_earlier_run_made_is_cached(server: EmbeddedServer, history: History) -> None:
    with history:
        images = history.data()
        edges = history.step("edges", [images], "monday")
        montage = history.step("montage", [edges], "tuesday")
        other = history.step("report", [edges], "tuesday", pipeline="another")
        history.step("thumbs", [edges], "monday")
    assert {one.title: one.cached for one in ask(server, montage).nodes} == {
        "montage": False, "edges": True, "images": False,
    }  # fmt: skip
    assert not node(ask(server, other), "edges").cached, (
        "another pipeline takes nothing from this one's cache"
    )
    assert not node(ask(server, images, down=True), "edges").cached, "its own run reads it, too"


def test_a_failed_step_says_why(server: EmbeddedServer, history: History) -> None:
    with history:
        failed = history.step("edges", [history.data()], state=FAILURE, reason="datum 1 failed")
    found = node(ask(server, failed), "edges")
    assert (found.failed, found.state, found.error) == (True, "FAILURE", "datum 1 failed")


def test_a_pipeline_of_others_in_the_middle(server: EmbeddedServer, history: History) -> None:
    with history:
        theirs = history.foreign("theirs", [history.step("edges", [history.data()])])
        last = history.step("last", [theirs])
    found = ask(server, last)
    assert titles(found) == ["last", "theirs", "edges", "images"]
    middle = node(found, "theirs")
    assert (middle.kind, middle.record, middle.state) == ("pipeline", None, "SUCCESS")
    assert middle.job is not None
    assert middle.job.image == "ubuntu:20.04"
    assert middle.bare.startswith(
        f"pipeline {history.project}/theirs made it, which is no step of kfp-pachyderm's"
    )


def test_commits_that_were_gathered_for_one_input(server: EmbeddedServer, history: History) -> None:
    with history:
        parts = [history.step(f"part-{number}", [history.data(f"data-{number}")]) for number in range(3)]
        gathered = history.gathered("last-parts", parts)
        last = history.step("last", [gathered], named=parts)
    found = ask(server, last)
    whole = node(found, "last-parts")
    assert (whole.kind, whole.inputs, whole.bare, whole.job) == ("gathered", tuple(parts), "", None)
    assert node(found, "last").inputs == (gathered,), "what is behind it is said once"
    assert len(found.nodes) == 1 + 1 + 3 + 3
    assert titles(ask(server, last, depth=1)) == ["last", "last-parts"]
    assert node(ask(server, parts[0], down=True), "last-parts").kind == "gathered"


def test_a_deleted_pipeline(server: EmbeddedServer, history: History) -> None:
    with history:
        edges = history.step("edges", [history.data()], recorded=False)
        last = history.step("last", [edges])
    client = Client.from_pachd_address(server.address)
    pipeline = pps.Pipeline(name="edges", project=pfs.Project(name=history.project))
    client.pps.delete_pipeline(pipeline=pipeline, keep_repo=True, force=True)
    found = ask(server, last)
    assert titles(found) == ["last", "edges", "images"]
    bare = node(found, "edges")
    assert bare.bare == "its job is gone: the job or its pipeline was deleted"
    assert (bare.job, bare.state) == (None, "FINISHED")
    assert bare.record is not None, "what the step wrote on its commit is still there"
    client.pps.delete_pipeline(
        pipeline=pps.Pipeline(name="last", project=pipeline.project), keep_repo=True, force=True
    )
    whole = node(ask(server, last), "last")
    assert whole.job is not None, "its record tells of the job"
    assert (whole.state, whole.job.seconds, whole.bare) == ("SUCCESS", 2.0, "")


def test_a_deleted_repo_in_the_middle(server: EmbeddedServer, history: History) -> None:
    with history:
        edges = history.step("edges", [history.data()])
        last = history.step("last", [edges, history.data("more")])
    client = Client.from_pachd_address(server.address)
    repo = pfs.Repo(name="edges", type="user", project=pfs.Project(name=history.project))
    pipeline = pps.Pipeline(name="edges", project=repo.project)
    client.pps.delete_pipeline(pipeline=pipeline, keep_repo=True, force=True)
    client.pfs.delete_repo(repo=repo, force=True)
    found = ask(server, last)
    assert titles(found) == ["last", "more", "edges"]
    gone = node(found, "edges")
    assert (gone.commit, gone.kind) == (edges, "unknown")
    assert gone.bare.startswith("Pachyderm has no such commit any more")
    assert (edges, last) in set(found.edges())


def test_a_diamond_is_walked_once(server: EmbeddedServer, history: History) -> None:
    with history:
        last = layered(history, 12, 4)
    pachd, calls = counted(server.address)
    with pachd:
        found = assemble.lineage(pachd, str(last))
    assert len(found.nodes) == 12 * 4 + 4 + 1
    assert calls == {"InspectCommit": 1, "WalkCommitProvenance": 1}, "of all of them in one call"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("guarded"), 0, True) as running:
        yield running


_robots = itertools.count()


def robot(server: EmbeddedServer, *readable: Reference) -> str:
    """The token of a robot that may read these repos."""
    root = Client.from_pachd_address(
        server.address, auth_token=(server.data_dir / "root-token").read_text().strip()
    )
    name = f"robot{next(_robots)}"
    for one in readable:
        resource = auth.Resource(type=auth.ResourceType.REPO, name=f"{one.project}/{one.repo}")
        root.auth.modify_role_binding(resource=resource, principal=f"robot:{name}", roles=["repoReader"])
    return str(root.auth.get_robot_token(robot=name).token)


def test_least_rights_and_a_missing_one(guarded: EmbeddedServer) -> None:
    with History(guarded) as history:
        images, more = history.data(), history.data("more")
        edges = history.step("edges", [images])
        secret = history.step("secret", [more])
        last = history.step("last", [edges, secret], "run-x")
    pachd, _ = counted(guarded.address, token=robot(guarded, images, more, edges, secret, last))
    with pachd:
        assert set(titles(assemble.lineage(pachd, str(last)))) == {
            "last",
            "edges",
            "secret",
            "images",
            "more",
        }
    pachd, _ = counted(guarded.address, token=robot(guarded, images, edges, last))
    with pachd:
        found = assemble.lineage(pachd, str(last))
        assert set(titles(found)) == {"last", "edges", "secret", "images"}
        bare = node(found, "secret")
        assert (bare.kind, bare.state, bare.record) == ("unknown", "UNKNOWN", None)
        assert bare.bare.startswith(
            "this token may not look at it; bind the role repoReader: pachctl auth set repo"
        )
        assert {one.title for one in found.nodes if one.bare} == {"secret"}
        # of a run, too, and what could not be looked into is said
        assert set(titles(assemble.lineage(pachd, "run-x"))) == set(titles(found))


def test_a_job_that_no_record_tells_of_is_asked_for(server: EmbeddedServer, history: History) -> None:
    with history:
        failed = history.step(
            "last", [history.step("edges", [history.data()], recorded=False)], state=FAILURE
        )
    pachd, calls = counted(server.address)
    with pachd:
        found = assemble.lineage(pachd, str(failed))
    assert {one.title: one.state for one in found.nodes} == {
        "last": "FAILURE", "edges": "SUCCESS", "images": "FINISHED",
    }  # fmt: skip
    assert calls["InspectJob"] == 2


def test_a_connection_that_is_cut_in_the_middle(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "one") as server:
        with History(server) as history:
            last = history.data()
            for _ in range(5):
                last = history.foreign("theirs", [last])
        asked = itertools.count()

        def cut(name: str) -> None:
            if name == "InspectJob" and next(asked) == 2:
                server.close()

        pachd, calls = counted(server.address, cut, grace=1.0)
        with pachd:
            found = assemble.lineage(pachd, str(last))
    assert len(found.nodes) == 6
    unseen = [one for one in found.nodes if one.kind == "pipeline" and one.job is None]
    assert unseen
    assert all("Pachyderm went away while the graph was walked" in one.bare for one in unseen)
    assert calls["InspectJob"] < 100, "nobody asks on and on"


def test_a_walk_that_breaks_goes_on_one_by_one(server: EmbeddedServer, history: History) -> None:
    with history:
        last = layered(history, 3, 3)
    pachd, calls = counted(server.address)
    raw = pachd.raw_stream

    class Broken(type(pachd)):  # type: ignore[misc]
        """Breaks off after the second commit: as a connection does, or a proxy that knows no such call."""

        def patient(self, timeout: float) -> Broken:
            return self

        def raw_stream(self, method: str, request: bytes) -> Iterator[bytes]:
            yield from itertools.islice(raw(method, request), 2)
            raise NotFoundError("broken off")

    pachd.__class__ = Broken
    with pachd:
        found = assemble.lineage(pachd, str(last))
    assert len(found.nodes) == 13
    assert calls["InspectCommit"] == 13 - 2
