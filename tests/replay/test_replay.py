"""Steps made again from their records: identical, different, or refused before anything starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml
from click.testing import CliRunner, Result
from kfp import components
from local_runs import LocalRuns  # type: ignore[import-not-found]
from pachyderm_sdk.api import pfs
from replay_steps import dice, framing  # type: ignore[import-not-found]

from kfp_pachyderm.cli import main
from kfp_pachyderm.pachd.connection.address import parse as address
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.pachd.jobs.job import inspect_output, write_metadata
from kfp_pachyderm.pachd.references import parse
from kfp_pachyderm.provenance.record import Hashed
from kfp_pachyderm.provenance.stored_record import entries, read
from kfp_pachyderm.testing import Pachyderm


def again(pachyderm: Pachyderm, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", *arguments, "--address", pachyderm.address])


@contextmanager
def pachd_of(pachyderm: Pachyderm) -> Iterator[Pachd]:
    with connect(address(pachyderm.address)) as pachd:
        yield pachd


def heads(pachyderm: Pachyderm, *repos: str) -> list[str]:
    found = []
    for one in repos:
        project, _, name = one.partition("/")
        repo = pfs.Repo(name=name, type="user", project=pfs.Project(name=project))
        found.append(pachyderm.client.pfs.inspect_branch(branch=pfs.Branch(repo=repo, name="master")).head.id)
    return found


def test_a_run_of_two_steps_is_identical(pachyderm: Pachyderm, tmp_path: Path) -> None:
    pachyderm.put("vision/photos", {"/a.txt": b"abc", "/b.txt": b"x" * 3000})
    framed = framing(sigma=2.5).output
    # the input's branch moves on
    pachyderm.put("vision/photos", {"/a.txt": b"another"})
    before = heads(pachyderm, "vision/flip", "vision/frame", "vision/photos")
    secrets = tmp_path / "parameters.json"
    secrets.write_text(json.dumps({"token": ""}))

    refused = again(pachyderm, framed, "--run")
    assert refused.exit_code == 1
    assert "parameter token is private, and not recorded; give it by --parameters" in refused.output

    planned = again(pachyderm, framed, "--run", "--dry-run", "--parameters", str(secrets))
    assert planned.exit_code == 0, planned.output
    documents = list(yaml.safe_load_all(planned.output))
    assert set(documents[0]["root"]["dag"]["tasks"]) == {"flip", "frame"}
    components.load_component_from_text(planned.output)
    for said in (
        "# step flip:",
        "into vision-replay/flip",
        "which image python:3.11 was; its tag may have moved",
    ):
        assert said in planned.output

    told = again(pachyderm, framed, "--run", "--json", "--parameters", str(secrets))
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert found["identical"]
    assert [(one["task"], one["files"]) for one in found["steps"]] == [("flip", 2), ("frame", 1)]
    assert found["steps"][1]["replay"].startswith("vision-replay/frame@")
    assert heads(pachyderm, "vision/flip", "vision/frame", "vision/photos") == before, (
        "nothing in use has moved"
    )

    # a replay of the last step alone reads the original's commits
    alone = again(pachyderm, framed, "--into", "elsewhere")
    assert alone.exit_code == 0, alone.output
    assert "elsewhere/frame@" in alone.stdout
    assert heads(pachyderm, "vision/flip", "vision/frame", "vision/photos") == before
    for into, why in (("vision", "is a project of the originals"), ("no/name", "only alphanumeric")):
        wrong = again(pachyderm, framed, "--into", into)
        assert (wrong.exit_code, why in wrong.output) == (1, True), wrong.output


def test_a_step_that_throws_dice_differs(pachyderm: Pachyderm) -> None:
    pachyderm.put("photos", {"/a.txt": b"abc"})
    thrown = dice().outputs["commit"]
    told = again(pachyderm, thrown)
    assert told.exit_code == 3, told.output
    assert "file ~ /dice.txt (22 B, other content)" in told.stdout
    assert "/dice.txt: from byte " in told.stdout
    assert "same.txt" not in told.stdout
    assert told.stdout.endswith("differs\n")


def test_what_a_record_lacks_is_said_before_anything_starts(pachyderm: Pachyderm) -> None:
    pachyderm.put("photos", {"/a.txt": b"abc"})
    with pachd_of(pachyderm) as pachd:
        thrown = parse(dice().outputs["commit"], "default")
        info = inspect_output(pachd, thrown)
        found = read(thrown, info.metadata)
        assert found is not None
        code = found.record.code
        for changed, why in (
            (replace(code, command=(), command_hash=Hashed("sha256:1", 9)), "is not kept: 9 bytes"),
            (replace(code, settings={}), "recorded too little for replay"),
            (replace(code, settings={"version": 99}), "are those of another release"),
            (replace(code, command=("sh", "-c", "true")), "is a container component"),
            (replace(code, command=("python3", "-m", "kfp.dsl.executor_main")), "its code is in its image"),
            (replace(code, parameters={"big": Hashed("sha256:1", 9)}), "too large to be recorded"),
        ):
            write_metadata(pachd, thrown, entries(replace(found.record, code=changed)))
            told = again(pachyderm, str(thrown), "--dry-run")
            assert (told.exit_code, why in told.output) == (1, True), told.output
        nobodys = pachyderm.put("photos", {"/b.txt": b"b"})
        assert "no step of kfp-pachyderm made" in again(pachyderm, nobodys).output
    assert not pachyderm.client.pfs.project_exists(pfs.Project(name="default-replay"))


def test_submitted_to_kfp(pachyderm: Pachyderm, tmp_path: Path) -> None:
    pachyderm.put("photos", {"/a.txt": b"abc"})
    thrown = dice().outputs["commit"]
    with LocalRuns(tmp_path / "pachyderm" / "kfp") as api:
        told = again(pachyderm, thrown, "--submit", "--host", api.url)
    assert told.exit_code == 3, told.output
    ((run, sent),) = api.store.runs.items()
    assert sent["display_name"] == f"replay of {thrown}"
    assert f"submitted as KFP run {run}" in told.stderr
    assert "default-replay/dice@" in told.stdout
