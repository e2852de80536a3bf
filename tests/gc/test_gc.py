"""`kfp-pachyderm gc` on what real steps left: found, removed, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kfp_pachyderm.cli import main
from kfp_pachyderm.gc.find import find
from kfp_pachyderm.gc.leftover import InUseError, Leftover, Search
from kfp_pachyderm.gc.pipelines import asleep
from kfp_pachyderm.gc.remove import Removed, remove
from kfp_pachyderm.launcher.config import HolderConfig, InputConfig
from kfp_pachyderm.pachd.claims import fence
from kfp_pachyderm.pachd.claims.fence import fenced, is_fence
from kfp_pachyderm.pachd.claims.gathering import MADE
from kfp_pachyderm.pachd.connection.address import parse
from kfp_pachyderm.pachd.connection.client import connect
from kfp_pachyderm.pachd.pipeline_plan import OWNER, OWNER_KEY
from kfp_pachyderm.pachd.references import Reference, commit_message, repo_message
from kfp_pachyderm.pachd.sdk import metadata, pfs, pps
from tests.faults.fault_pachd import FaultyPachd
from tests.launcher.launcher_steps import LEASE, Runner, files, put
from tests.waiting import wait_for

WRITE = "import boto3; boto3.client('s3').put_object(Bucket='out', Key='a', Body=b'result')"
#: Says that it runs, and sleeps until somebody ends it.
SLEEP = "import time; print('running', flush=True); time.sleep(600)"


def search(pachd: Any, older_than: float = 0.0, **fields: Any) -> Search:
    """As if a day had passed, so that all is old which nothing else tells to be in use."""
    return Search(pachd, fields.pop("project", None), older_than, **fields)


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def names(found: list[Leftover]) -> set[tuple[str, str, str]]:
    return {(one.kind, one.name, one.action) for one in found}


def removed(pachd: Any, **fields: Any) -> set[tuple[str, str, str]]:
    told: list[str] = []
    done: list[Removed] = list(remove(search(pachd, **fields), told.append))
    assert [one.problem for one in done if one.problem] == []
    assert told == []
    return names([one.leftover for one in done])


def branches(pachd: Any, repo: str) -> set[str]:
    return {one.branch.name for one in pachd.pfs.list_branch(repo=repo_message("default", repo))}


def pipelines(pachd: Any) -> dict[str, pps.PipelineInfo]:
    return {one.pipeline.name: one for one in pachd.pps.list_pipeline(details=True)}


def gc(address: str, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["gc", "--address", address, *arguments])


def test_an_idle_pipeline_with_results_sleeps_and_the_next_step_wakes_it(step: Runner) -> None:
    step.fill()
    made = step.run(WRITE)
    assert names(find(search(step.pachd, 3600.0))) == set()
    shown = gc(step.address, "--older-than", "0s")
    assert (shown.exit_code, step.name in shown.output, "sleep" in shown.output) == (0, True, True)
    assert not step.pipeline().details.autoscaling, "it was only listed"
    shown = gc(step.address, "--older-than", "0s", "--yes")
    assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.exc_info
    assert (shown.exit_code, shown.output) == (0, f"pipeline default/{step.name}: asleep, its worker ends\n")
    assert step.pipeline().details.autoscaling
    # the branch still shows the result, and no job is left of the change
    assert files(step.pachd, "default", step.name, "master") == {"/a": 6}
    assert [one.job.id for one in step.jobs()] == [made.job]
    assert names(find(search(step.pachd))) == set()
    again = step.run(WRITE)
    assert (again.code, step.pipeline().details.autoscaling) == (0, False)
    head = step.pachd.pfs.inspect_commit(commit=commit_message(Reference("default", step.name, "master")))
    assert (head.commit.id, head.parent_commit.id, head.error) == (again.job, made.job, "")


def killed(step: Runner, code: str = SLEEP, **config: Any) -> None:
    """A step whose processes were all killed while its command ran, and whose job has ended since."""
    process = step.start(code, step.config(holder=HolderConfig(lease=LEASE, attach_timeout=LEASE), **config))
    assert process.stdout
    job = process.stdout.readline().split("job=")[1].split()[0]
    assert process.stdout.readline() == "running\n"
    os.killpg(process.pid, signal.SIGKILL)
    assert step.ended_job(job).state == pps.JobState.JOB_FAILURE


def test_what_a_killed_step_left_is_removed_whole(step: Runner, temporary: Path) -> None:
    step.fill()
    project = "made-by-step"
    inputs = (InputConfig("images", f"in-{step.name}", project="default"),)
    process = step.start(SLEEP, step.config(project=project, inputs=inputs, holder=HolderConfig(lease=LEASE)))
    assert process.stdout
    process.stdout.readline()
    assert process.stdout.readline() == "running\n"
    assert names(find(search(step.pachd))) == set(), "it runs"
    os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: len(find(search(step.pachd))) == 2, "the end of its job and of its processes")
    (folder,) = temporary.glob("kfp-pachyderm-step-*")
    assert names(find(search(step.pachd))) == {
        ("pipeline", f"{project}/{step.name}", "delete"),
        ("folder", str(folder), "delete"),
    }
    shown = gc(step.address, "--older-than", "0s", "--yes", "--json")
    done = json.loads(shown.output)
    assert shown.exit_code == 0, shown.output
    assert {(one["kind"], one["name"], one["removed"]) for one in done["leftovers"]} == {
        ("pipeline", f"{project}/{step.name}", True),
        ("folder", str(folder), True),
        ("project", project, True),
    }
    assert not folder.exists()
    assert branches(step.pachd, f"in-{step.name}") == {"master"}
    assert [one.project.name for one in step.pachd.pfs.list_project()] == ["default"]
    assert json.loads(gc(step.address, "--older-than", "0s", "--yes", "--json").output)["leftovers"] == []
    assert step.run(WRITE, step.config(project=project, inputs=inputs)).code == 0


def test_siblings_without_results_are_deleted_and_the_others_sleep(step: Runner) -> None:
    step.fill()
    wide = step.config(concurrency=2)
    assert step.iteration("one").run(WRITE, wide).code == 0
    process = step.iteration("two").start(SLEEP, wide)
    assert process.stdout
    process.stdout.readline()
    process.stdout.readline()
    assert step.iteration("three").run("raise SystemExit(3)", wide).code == 3
    process.terminate()
    step.end(process)
    assert set(pipelines(step.pachd)) == {step.name, f"{step.name}-2"}
    assert removed(step.pachd) == {
        ("pipeline", f"default/{step.name}", "sleep"),
        ("pipeline", f"default/{step.name}-2", "delete"),
    }
    assert set(pipelines(step.pachd)) == {step.name}
    assert removed(step.pachd) == set()
    assert step.iteration("four").run(WRITE, wide).code == 0
    assert not pipelines(step.pachd)[step.name].details.autoscaling


def test_claim_branches_and_turns_of_a_pipeline_that_is_gone(step: Runner) -> None:
    step.fill()
    assert step.run(WRITE, step.config(concurrency=2)).code == 0
    wait_for(lambda: [one for one in branches(step.pachd, step.name) if one.startswith("turn_")])
    (turn,) = [one for one in branches(step.pachd, step.name) if one.startswith("turn_")]
    step.pachd.pps.delete_pipeline(pipeline=step.pipeline().pipeline, keep_repo=True)
    assert removed(step.pachd) == {
        ("branch", f"default/in-{step.name}@kfp_{step.name}", "delete"),
        ("branch", f"default/{step.name}@{turn}", "delete"),
    }
    assert files(step.pachd, "default", step.name, "master") == {"/a": 6}
    assert removed(step.pachd) == set()


def test_what_another_step_was_made_from_stays(step: Runner) -> None:
    """A pipeline whose job failed, but whose commit somebody's kept commit comes from."""
    step.fill()
    assert step.run(WRITE).code == 0
    reader = Runner(step.address, step.pachd, step.folder, step.processes)
    reader.folder = step.folder.parent / reader.name
    reader.folder.mkdir()
    inputs = (InputConfig("images", step.name),)
    assert reader.run(WRITE, reader.config(inputs=inputs)).code == 0
    commits = {
        name: [one.commit.id for one in step.pachd.pfs.list_commit(repo=repo_message("default", name))]
        for name in (f"in-{step.name}", step.name, reader.name)
    }
    assert {one[2] for one in removed(step.pachd)} == {"sleep"}
    for name, known in commits.items():
        every = step.pachd.pfs.list_commit(repo=repo_message("default", name))
        assert [one.commit.id for one in every] == known
    assert reader.run(WRITE, reader.config(inputs=inputs)).code == 0


def after(proxy: FaultyPachd, method: str, left: int, deed: Callable[[], None]) -> Callable[[], None]:
    """Does it before the call after so many others."""

    def act() -> None:
        if left:
            proxy.before(method, after(proxy, method, left - 1, deed))
        else:
            deed()

    return act


def kill(process: list[subprocess.Popen[str]], arrived: threading.Event) -> None:
    os.killpg(process[0].pid, signal.SIGKILL)
    arrived.set()


def test_sigkill_while_it_gathers(step: Runner) -> None:
    """At each call of the gathering: what is left then is found a day later, and nothing after that."""
    heads = [put(step.pachd, f"in-{step.name}", {f"f{one}": b"x"}) for one in range(3)]
    inputs = (InputConfig("images", f"in-{step.name}", many=True),)
    references = [f"in-{step.name}@{one}" for one in heads]
    seen = set()
    for method, count in [
        ("BatchTransaction", 1),
        ("ModifyFile", 0),
        ("FinishCommit", 0),
        ("StartTransaction", 0),
    ]:
        with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
            process: list[subprocess.Popen[str]] = []
            arrived = threading.Event()

            proxy.before(method, after(proxy, method, count, partial(kill, process, arrived)))
            runner = replace(step, address=f"grpc://{proxy.address}")
            process.append(runner.start("pass", step.config(inputs=inputs), images=references))
            process[0].wait()
            assert arrived.is_set()
        assert not [one for one in find(search(step.pachd)) if one.kind != "folder"], "it is young"
        left = find(search(step.pachd, now=tomorrow()))
        seen |= {(one.kind, one.name.partition("@")[0]) for one in left}
        assert removed(step.pachd, now=tomorrow())
        assert removed(step.pachd, now=tomorrow()) == set()
    gathered = f"default/{step.name}_images"
    assert {("branch", f"default/in-{step.name}"), ("branch", gathered), ("commit", gathered)} <= seen
    assert branches(step.pachd, f"in-{step.name}") == {"master"}
    assert step.run("pass", step.config(inputs=inputs), images=references).code == 0


def test_a_repo_for_gathered_commits_that_goes_while_a_step_begins_in_it(step: Runner) -> None:
    """At the first call that makes something in it, and when its commit is there already."""
    commit = put(step.pachd, f"in-{step.name}", {"a": b"A"})
    config = step.config(inputs=(InputConfig("images", f"in-{step.name}", many=True),))
    for method, others in (("BatchTransaction", 1), ("ModifyFile", 0)):
        name = f"{step.name}-{method.lower()}"
        gathered = repo_message("default", f"{name}_images")
        step.pachd.pfs.create_repo(repo=gathered, description=MADE)
        (listed,) = [
            one for one in find(search(step.pachd, now=tomorrow())) if one.name.endswith(name + "_images")
        ]
        with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
            proxy.before(method, after(proxy, method, others, partial(delete, step.pachd, gathered)))
            runner = Runner(
                f"grpc://{proxy.address}", step.pachd, step.folder.parent / name, step.processes, name
            )
            runner.folder.mkdir()
            ended = runner.run("pass", config, images=[f"in-{step.name}@{commit}"])
        assert (ended.code, "has been deleted; the step's command has not begun" in ended.err) == (0, True)
        with pytest.raises(InUseError, match="has been used meanwhile"):
            listed.remove()


def delete(pachd: Any, repo: pfs.Repo) -> None:
    """As a gc that had looked before the step began."""
    pachd.pfs.delete_repo(repo=repo)


def mark(pachd: Any, **target: Any) -> None:
    key = metadata.EditEditKey(key=OWNER_KEY, value=OWNER)
    pachd.metadata.edit_metadata(edits=[metadata.Edit(**target, edit_key=key)])


def test_what_others_made_stays_however_it_is_called(step: Runner, temporary: Path) -> None:
    pachd = step.pachd
    head = put(pachd, "theirs", {"a": b"A"})
    put(pachd, "theirs", {"b": b"B"}, branch="kfp-gather-0123456789abcdef-0")
    put(pachd, "theirs", {"b": b"B"}, branch="kfp-gather-0123456789abcdef")
    commit = commit_message(Reference("default", "theirs", head))
    for name in ("kfp_edges", "turn_" + "0" * 32, "kfp-gather-notes", "kfp-gather-0123-0"):
        pachd.pfs.create_branch(
            branch=pfs.Branch(repo=repo_message("default", "theirs"), name=name), head=commit
        )
    pachd.pfs.create_project(project=pfs.Project(name="kfp-pachyderm-doctor-mine"))
    pachd.pfs.create_project(project=pfs.Project(name="empty"), description="made by kfp-pachyderm")
    spec = {
        "pipeline": {"name": "edges-2"},
        "transform": {"cmd": ["true"]},
        "input": {"pfs": {"repo": "theirs", "glob": "/"}},
    }
    pachd.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec))
    opened = pachd.transactions.start_transaction()
    (temporary / "kfp-pachyderm-notes").mkdir()
    (temporary / "kfp-pachyderm-step-file").write_text("")
    # a project of ours that is used
    pachd.pfs.create_project(project=pfs.Project(name="used"))
    mark(pachd, project=pfs.ProjectPicker(name="used"))
    put(pachd, "data", {"a": b"A"}, project="used")
    assert removed(pachd, now=tomorrow()) == set()
    pachd.transactions.delete_transaction(transaction=opened)


def test_what_waits_for_nobody(step: Runner) -> None:
    """A job without a worker, a transaction, a doctor's project, an empty repo of gathered commits."""
    step.fill()
    pachd = step.pachd
    first = step.start(SLEEP)
    assert first.stdout
    first.stdout.readline()
    assert first.stdout.readline() == "running\n"
    second = step.start("pass")
    assert second.stdout
    waits = second.stdout.readline().split("job=")[1].split()[0]
    opened = pachd.transactions.start_transaction()
    spec = json.loads(step.pipeline().user_spec_json)
    pachd.within(opened.id).pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec), update=True)
    trial = pfs.Project(name="kfp-pachyderm-doctor-dead")
    pachd.pfs.create_project(project=trial, description="of kfp-pachyderm doctor --run; may be deleted")
    put(pachd, "input", {"a": b"A"}, project=trial.name)
    pachd.pfs.create_repo(repo=repo_message("default", "merge_part"), description=MADE)
    assert [one for one in find(search(pachd)) if one.kind != "folder"] == []
    (listed,) = [one for one in find(search(pachd, now=tomorrow())) if one.kind == "job"]
    assert removed(pachd, now=tomorrow()) == {
        ("transaction", opened.id, "delete"),
        ("job", f"default/{step.name}@{waits}", "stop"),
        ("repo", "default/merge_part", "delete"),
        ("project", trial.name, "delete"),
    }
    with pytest.raises(InUseError, match="has begun, or ended, meanwhile"):
        listed.remove()
    assert step.end(second).code == 1
    first.terminate()
    step.end(first)


def collect(pachd: Any, done: list[set[tuple[str, str, str]]]) -> None:
    done.append(removed_or_in_use(pachd))


CALLS = [
    "InspectPipeline",
    "InspectCommit",
    "StartTransaction",
    "CreateBranch",
    "FinishTransaction",
    "InspectJob",
    "Locate",
    "EditMetadata",
]


@pytest.mark.parametrize("action", ["sleep", "delete"])
def test_gc_at_each_call_of_a_steps_life(step: Runner, action: str) -> None:
    """Each time on a pipeline that is idle when the step begins: it succeeds, and its result stays."""
    step.fill()
    results = []
    for method in CALLS:
        before = step.run(WRITE if action == "sleep" else "raise SystemExit(3)")
        done: list[set[tuple[str, str, str]]] = []
        with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
            proxy.before(method, partial(collect, step.pachd, done))
            runner = replace(step, address=f"grpc://{proxy.address}")
            ended = runner.run(WRITE)
        assert (ended.code, len(done)) == (0, 1), method
        results.append(ended.job)
        if action == "sleep":
            results.append(before.job)
        else:
            step.pachd.pps.delete_pipeline(pipeline=step.pipeline().pipeline)
            results.clear()
        for one in results:
            assert files(step.pachd, "default", step.name, one) == {"/a": 6}, method
        assert files(step.pachd, "default", step.name, ended.job) if action == "sleep" else True


def removed_or_in_use(pachd: Any) -> set[tuple[str, str, str]]:
    return names([one.leftover for one in remove(search(pachd), lambda _: None) if not one.problem])


#: Says that the step's command began, and that it ended.
MARKED = f"open({{begun!r}}, 'a').write('x'); {WRITE}"
#: gc's calls, from its first look at a pipeline to its last deed, and whether the pipeline has results.
RACES = [
    ("CreateBranch", True),
    ("FinishTransaction", True),
    ("CreateBranch", False),
    ("DeletePipeline", False),
]


@pytest.mark.parametrize(("method", "results"), RACES)
def test_a_step_that_claims_while_gc_works(step: Runner, tmp_path: Path, method: str, results: bool) -> None:
    """Its command begins once, and never for a job that gc takes away, as slow as gc is."""
    step.fill()
    assert step.run(WRITE if results else "raise SystemExit(3)").code in (0, 3)
    begun, started, said = tmp_path / "begun", list[subprocess.Popen[str]](), list[str]()

    def claim() -> None:
        process = step.start(MARKED.format(begun=str(begun)))
        threading.Thread(target=lambda: said.extend(process.stderr or ())).start()
        started.append(process)
        wait_for(lambda: begun.exists() or any("waiting for it to end" in one for one in said))

    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.before(method, claim)
        shown = gc(f"grpc://{proxy.address}", "--older-than", "0s", "--yes")
        assert started
        code = started[0].wait()
        print(*said, shown.output)
        assert (code, begun.read_text()) == (0, "x")
    assert files(step.pachd, "default", step.name, "master") == {"/a": 6}
    assert not [one for one in branches(step.pachd, step.name) if is_fence(one)]


def test_a_step_that_looks_while_gc_has_stopped_the_pipeline(step: Runner) -> None:
    step.fill()
    assert step.run("raise SystemExit(3)").code == 3
    info = step.pipeline()
    output = pfs.Branch(repo=repo_message("default", step.name), name="master")
    with fenced(step.pachd, output):
        step.pachd.pps.stop_pipeline(pipeline=info.pipeline)
        process = step.start(WRITE)
        assert process.stderr
        assert any("waiting for it to end" in line for line in process.stderr)
        step.pachd.pps.delete_pipeline(pipeline=info.pipeline)
        assert step.end(process).code == 0
    assert files(step.pachd, "default", step.name, "master") == {"/a": 6}


def test_the_fence_of_a_gc_that_died(step: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next step takes it down after a while, and a gc the next day."""
    step.fill()
    assert step.run(WRITE).code == 0
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        monkeypatch.setattr(fence, "_DELETING", 0.1)
        proxy.lose("DeleteBranch", [False] * 100)
        assert gc(f"grpc://{proxy.address}", "--older-than", "0s", "--yes").exit_code == 0
    (left,) = [one for one in branches(step.pachd, step.name) if is_fence(one)]
    assert names(find(search(step.pachd))) == set(), "its gc may live"
    assert removed(step.pachd, now=tomorrow()) == {("branch", f"default/{step.name}@{left}", "delete")}
    with fenced(step.pachd, pfs.Branch(repo=repo_message("default", step.name), name="master")):
        monkeypatch.setattr(fence, "STANDS", 0.5)
        told: list[str] = []
        assert fence.wait_until_down(step.pachd, "default", step.name, told.append)
        assert "taken for dead" in told[-1]
        assert not fence.wait_until_down(step.pachd, "default", step.name, told.append)


@pytest.mark.parametrize(("method", "carried_out"), [("CreateBranch", True), ("DeleteBranch", False)])
def test_a_call_that_fails_once_leaves_no_fence(step: Runner, method: str, carried_out: bool) -> None:
    step.fill()
    assert step.run(WRITE).code == 0
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.lose(method, [carried_out])
        gc(f"grpc://{proxy.address}", "--older-than", "0s", "--yes")
    assert [one for one in branches(step.pachd, step.name) if is_fence(one)] == []


def test_a_step_whose_job_ends_while_a_slow_gc_stands(step: Runner) -> None:
    """The heartbeat sees that the job is lost, and leaves the adapter to the next job."""
    step.fill()
    config = step.config(holder=HolderConfig(lease=LEASE, attach_timeout=LEASE))
    assert step.run(WRITE, config).code == 0
    output = pfs.Branch(repo=repo_message("default", step.name), name="master")
    spec = json.dumps(asleep(json.loads(step.pipeline().user_spec_json), "now"))
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        runner = replace(step, address=f"grpc://{proxy.address}")
        with fenced(step.pachd, output):
            process = runner.start(WRITE, config)
            wait_for(lambda: "Locate" in proxy.called, "the attach")
            step.pachd.pps.create_pipeline_v2(create_pipeline_request_json=spec, update=True)
            looks = proxy.called.count("InspectJob")
            wait_for(lambda: proxy.called.count("InspectJob") > looks, "the heartbeat")
            later = proxy.called.count("ListBranch") + 2
            wait_for(lambda: proxy.called.count("ListBranch") >= later)
        assert step.end(process).code == 0
    assert files(step.pachd, "default", step.name, "master") == {"/a": 6}


def test_a_project_that_goes_while_a_step_begins_in_it(step: Runner) -> None:
    step.fill()
    project = pfs.Project(name="vision")
    step.pachd.pfs.create_project(project=project)
    mark(step.pachd, project=pfs.ProjectPicker(name="vision"))
    inputs = (InputConfig("images", f"in-{step.name}", project="default"),)
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.before("StartTransaction", lambda: removed_or_in_use(step.pachd))
        runner = replace(step, address=f"grpc://{proxy.address}")
        ended = runner.run(WRITE, step.config(project="vision", inputs=inputs))
    assert "has been deleted; trying again" in ended.err
    assert (ended.code, files(step.pachd, "vision", step.name, ended.job)) == (0, {"/a": 6})


def test_project_and_age_are_what_they_say(step: Runner) -> None:
    step.fill()
    assert step.run(WRITE).code == 0
    assert find(search(step.pachd, project="elsewhere")) == []
    assert json.loads(gc(step.address, "--project", "default", "--json").output) == {
        "leftovers": [],
        "warnings": [],
    }
    assert gc(step.address, "--older-than", "soon").exit_code == 2
    assert gc(step.address, "--project", "Bad/Name").exit_code == 1
    (found,) = json.loads(gc(step.address, "--older-than", "0s", "--json").output)["leftovers"]
    assert set(found) == {"kind", "name", "since", "age", "size", "why", "action"}


def test_what_can_not_be_looked_at_is_told(step: Runner) -> None:

    step.fill()
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        proxy.lose("ListTransaction", [False] * 1000)
        found = search_with(proxy)
    assert found.told
    assert found.told[0].startswith("transactions: ")


def search_with(proxy: FaultyPachd) -> Search:
    from kfp_pachyderm.pachd.connection.address import parse
    from kfp_pachyderm.pachd.connection.client import connect

    with connect(parse(f"grpc://{proxy.address}"), grace=0.5) as one:
        made = search(one)
        find(made)
        return made


def test_the_commands_of_the_how_to_run(step: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "gc.md").read_text()
    commands = page.split("```\n")[1].splitlines()
    monkeypatch.setenv("KFP_PACHYDERM_ADDRESS", step.address)
    assert len(commands) == 3
    for command in commands:
        ended = CliRunner().invoke(main, command.split()[1:])
        assert (command.split()[0], ended.exit_code) == ("kfp-pachyderm", 0), ended.output


def test_each_look_lists_all_once_and_the_next_look_anew(step: Runner) -> None:
    step.fill()
    assert step.run(WRITE).code == 0
    with FaultyPachd(step.address.removeprefix("grpc://")) as proxy:
        called = proxy.called
        with connect(parse(f"grpc://{proxy.address}")) as pachd:
            one = search(pachd, now=tomorrow())
            assert find(one)
            assert (called.count("ListPipeline"), called.count("ListRepo")) == (1, 1)
            assert {left.kind for left in find(one)} == {"pipeline"}
            assert (called.count("ListPipeline"), called.count("ListRepo")) == (2, 2)
