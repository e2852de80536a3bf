"""`verify` on what real steps have made, and each fault that it finds, made on the embedded Pachyderm."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from launcher_steps import Runner, numbers, put  # type: ignore[import-not-found]

from kfp_pachyderm.cli import main
from kfp_pachyderm.embedded.process import EmbeddedProcess
from kfp_pachyderm.errors import BranchNotFoundError, CommitNotFoundError
from kfp_pachyderm.launcher.config import InputConfig
from kfp_pachyderm.pachd.connection.address import parse as parse_address
from kfp_pachyderm.pachd.connection.client import Pachd, connect
from kfp_pachyderm.pachd.jobs.job import _picker, inspect_output, write_metadata
from kfp_pachyderm.pachd.references import Reference, repo_message
from kfp_pachyderm.pachd.sdk import metadata, pfs
from kfp_pachyderm.provenance import Verified, verify
from kfp_pachyderm.provenance.file_list import file_list
from kfp_pachyderm.provenance.inputs_tree import inputs_tree
from kfp_pachyderm.provenance.record import StepRecord
from kfp_pachyderm.provenance.stored_record import DIGEST_KEY, RECORD_KEY, entries, read

WRITE = """
import boto3
s3 = boto3.client("s3")
for key in ("a", "b"):
    s3.put_object(Bucket="out", Key=key, Body=key.encode() * 10)
"""


class Chain:
    """Data that somebody put, a step on it, and a step on that one's output."""

    def __init__(self, embedded: EmbeddedProcess, pachd: Pachd, folder: Path) -> None:
        self.pachd, self._database = pachd, embedded.data_dir / "pachyderm.db"
        self.address = embedded.address
        first = self.runner(folder)
        self.data = Reference("default", f"in-{first.name}", first.fill(a=b"A"))
        made = first.run(WRITE, sigma=1)
        assert made.code == 0
        self.first = Reference("default", first.name, made.job)
        second = self.runner(folder)
        config = second.config(inputs=(InputConfig("before", first.name),))
        made = second.run(WRITE, config, before=str(self.first))
        assert made.code == 0
        self.second = Reference("default", second.name, made.job)
        self.page = (second.folder / "pachyderm").read_text()

    def runner(self, folder: Path) -> Runner:
        runner = Runner(self.address, self.pachd, folder / f"{next(numbers)}-2026-01-02-03-04-05-678901")
        runner.folder = runner.folder / runner.name
        runner.folder.mkdir(parents=True)
        return runner

    def record(self, commit: Reference) -> StepRecord:
        found = read(commit, inspect_output(self.pachd, commit).metadata)
        assert found is not None
        return found.record

    @contextmanager
    def changed(self, commit: Reference, **entries_: str | None) -> Iterator[None]:
        """Metadata as somebody may edit them; None: removed."""
        before = dict(inspect_output(self.pachd, commit).metadata)
        for name, value in entries_.items():
            key = f"kfp-pachyderm/{name.replace('_', '-')}"
            if value is not None:
                write_metadata(self.pachd, commit, {key: value})
                continue
            remove = metadata.EditDeleteKey(key=key)
            edit = metadata.Edit(commit=_picker(commit), delete_key=remove)
            self.pachd.metadata.edit_metadata(edits=[edit])
        try:
            yield
        finally:
            write_metadata(self.pachd, commit, before)

    def rerecorded(self, commit: Reference, **facts: Any) -> Any:
        """The record with other facts, and its digest right again."""
        said = entries(replace(self.record(commit), **facts))
        return self.changed(commit, record=said[RECORD_KEY], record_digest=said[DIGEST_KEY])

    @contextmanager
    def damaged(self, change: str, undo: str, *values: str) -> Iterator[None]:
        """The database as no client can change it."""
        with closing(sqlite3.connect(self._database, timeout=30)) as database:
            database.execute(change, values)
            database.commit()
            try:
                yield
            finally:
                database.execute(undo, values)
                database.commit()

    def verify(self, commit: Reference, deep: bool = False) -> Verified:
        return verify(str(commit), deep=deep, client=self.pachd)

    def faults(self, commit: Reference, deep: bool = False) -> list[tuple[str, str]]:
        return [(one.kind, one.text) for one in self.verify(commit, deep).faults]


@pytest.fixture(scope="module")
def chain(embedded: EmbeddedProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with connect(parse_address(embedded.address)) as pachd:
        yield Chain(embedded, pachd, tmp_path_factory.mktemp("chain"))


def test_the_page_shows_what_it_was_made_from_and_how_to_ask_on(chain: Chain) -> None:
    lines = chain.page.splitlines()
    tree = lines[lines.index("What it was made from:") + 3 :]
    assert tree[: tree.index("```")] == [
        f"{chain.second}  {chain.second.repo}",
        f"  {chain.first}  {chain.first.repo}",
        f"    {chain.data}  data",
    ]
    for line in (
        f"kfp-pachyderm lineage {chain.second} --open",
        f"kfp-pachyderm lineage {chain.first} --down",
        f"kfp-pachyderm verify {chain.second} --deep",
    ):
        assert line in lines
        command, x = line.split()[1:3]
        told = CliRunner().invoke(main, [command, x, "--address", chain.address])
        assert told.exit_code == 0, told.output


def test_a_page_without_what_pachyderm_does_not_say(chain: Chain) -> None:
    gone = replace(chain.record(chain.second), output=replace(chain.second, version="0" * 32))
    first, second = inputs_tree(chain.pachd, gone)
    assert (first.startswith(str(gone.output)), second) == (True, f"  {chain.first}")


def shown(chain: Chain, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["verify", *arguments, "--address", chain.address])


def test_steps_that_went_well_are_what_they_say(chain: Chain) -> None:
    found = chain.verify(chain.second)
    assert (found.faults, found.unseen, found.ok) == ((), (), True)
    (looked,) = found.commits
    assert (looked.inputs, looked.files, looked.size) == ((chain.first,), 2, 20)
    deep = chain.verify(Reference("default", chain.second.repo, "master"), deep=True)
    assert [one.commit for one in deep.commits] == [chain.second, chain.first, chain.data]
    assert (deep.faults, deep.unseen) == ((), ())

    told = shown(chain, str(chain.second), "--deep")
    assert told.exit_code == 0, told.output
    assert f"{chain.second} is what its record says" in told.output
    assert looked.digest in told.output
    data = json.loads(shown(chain, str(chain.second), "--json").output)
    assert (data["ok"], data["faults"], data["commits"][0]["record_digest"]) == (True, [], looked.digest)


FILES = "FROM commits JOIN json_each(layers) WHERE set_id = ?"
CHANGE = f"UPDATE files SET hash = zeroblob(32) WHERE path = '/a' AND layer IN (SELECT value {FILES})"  # noqa: S608
DELETE = f"UPDATE files SET path = '/gone' WHERE path = '/a' AND layer IN (SELECT value {FILES})"  # noqa: S608
RESTORE = f"UPDATE files SET path = '/a' WHERE path = '/gone' AND layer IN (SELECT value {FILES})"  # noqa: S608


def test_a_file_that_changed(chain: Chain) -> None:
    before = chain.record(chain.second).files
    assert before is not None
    assert before.listed is not None
    undo = CHANGE.replace("zeroblob(32)", f"x'{before.listed[0].hash}'")
    with chain.damaged(CHANGE, undo, chain.second.version):
        ((kind, text),) = chain.faults(chain.second)
        assert kind == "file"
        assert text.startswith("file /a changed: ")
        told = shown(chain, str(chain.second))
        assert told.exit_code == 1
        assert f"FAULT file: {chain.second}: file /a changed" in told.output
    assert chain.faults(chain.second) == []


def test_a_file_that_is_missing_and_one_that_was_added(chain: Chain) -> None:
    with chain.damaged(DELETE, RESTORE, chain.second.version):
        assert chain.faults(chain.second) == [
            ("file", "file /a is missing"),
            ("file", "file /gone was added: its record does not have it"),
        ]
        assert [one.kind for one in chain.verify(chain.second).faults] == ["file", "file"]


def test_files_too_many_to_be_listed(chain: Chain) -> None:
    files = chain.record(chain.second).files
    assert files is not None
    with chain.rerecorded(chain.second, files=replace(files, listed=None)):
        assert chain.faults(chain.second) == []
        with chain.damaged(DELETE, RESTORE, chain.second.version):
            ((kind, text),) = chain.faults(chain.second)
            assert kind == "file"
            assert "its files differ: 2 with 20 bytes, its record says 2" in text


def test_an_edited_record(chain: Chain) -> None:
    text = entries(chain.record(chain.second))[RECORD_KEY]
    with chain.changed(chain.second, record=text.replace('"SUCCESS"', '"SUCCESS "')):
        faults = chain.faults(chain.second)
        assert ("record", "its record was edited") in [(kind, text[:21]) for kind, text in faults]
    with chain.changed(chain.second, record_digest=None):
        ((kind, said),) = chain.faults(chain.second)
        assert (kind, said.endswith("its digest was removed")) == ("record", True)
    with chain.changed(chain.second, record=None):
        ((kind, said),) = chain.faults(chain.second)
        assert (kind, "it has no record" in said) == ("record", True)
    with chain.changed(chain.second, run="another"):
        ((kind, said),) = chain.faults(chain.second)
        assert (kind, "kfp-pachyderm/run is 'another'" in said) == ("record", True)


def test_a_record_that_lies_with_its_digest_right(chain: Chain) -> None:
    with chain.rerecorded(chain.second, inputs={"before": chain.data}):
        kinds = [kind for kind, _ in chain.faults(chain.second)]
        assert kinds == ["input", "input"]
    other = replace(chain.first, version=chain.second.version)
    with chain.rerecorded(chain.second, output=other):
        ((kind, text),) = chain.faults(chain.second)
        assert (kind, str(other) in text) == ("record", True)
    with chain.rerecorded(chain.second, files=file_list([])):
        assert [text for _, text in chain.faults(chain.second)] == [
            "file /a was added: its record does not have it",
            "file /b was added: its record does not have it",
        ]
    with chain.rerecorded(chain.second, version=99):
        assert [kind for kind, _ in chain.faults(chain.second)] == ["job"]
    with chain.rerecorded(chain.second, state="OPEN"):
        ((kind, text),) = chain.faults(chain.second)
        assert (kind, "never said how it ended" in text) == ("job", True)


@pytest.mark.parametrize("text", ["{", '{"version":99}'])
def test_a_record_that_is_none(chain: Chain, text: str) -> None:
    with chain.changed(chain.second, record=text):
        faults = chain.faults(chain.second)
        assert {kind for kind, _ in faults} == {"record"}
        assert any("can't be read" in text for _, text in faults)


def test_faults_of_the_ancestry_are_found_with_deep(chain: Chain) -> None:
    with chain.changed(chain.first, record_digest="sha256:0"):
        assert chain.faults(chain.second) == []
        (fault,) = chain.verify(chain.second, deep=True).faults
        assert (fault.commit, fault.kind) == (str(chain.first), "record")
        assert shown(chain, str(chain.second)).exit_code == 0
        assert shown(chain, str(chain.second), "--deep").exit_code == 1


def test_a_job_that_did_not_succeed(chain: Chain, tmp_path: Path) -> None:
    runner = chain.runner(tmp_path)
    runner.fill()
    ended = runner.run("raise SystemExit(3)")
    faults = chain.faults(Reference("default", runner.name, ended.job))
    assert [kind for kind, _ in faults] == ["unfinished", "job", "job"]
    assert any("exit code 3" in text for _, text in faults)


def test_a_commit_that_no_step_wrote(chain: Chain) -> None:
    ((kind, text),) = chain.faults(chain.data)
    assert (kind, "somebody put it" in text) == ("foreign", True)
    assert shown(chain, str(chain.data)).exit_code == 1


def test_a_commit_whose_input_is_gone(chain: Chain) -> None:
    """`pachctl delete repo --force` leaves what was made from it."""
    gone = Reference("default", f"gone{next(numbers)}", put(chain.pachd, "gone", {"a": b"A"}))
    gone = replace(gone, repo="gone")
    with chain.rerecorded(chain.second, inputs={"before": chain.first, "other": gone}):
        assert [kind for kind, _ in chain.faults(chain.second)] == ["input"]
        chain.pachd.pfs.delete_repo(repo=repo_message("default", "gone"), force=True)
        faults = chain.faults(chain.second)
        text = f"its input other, {gone}, is gone: dropped, squashed, or deleted with its repo"
        assert faults == [("missing", text)]
        deep = chain.verify(chain.second, deep=True)
        assert [(one.commit, one.kind) for one in deep.faults] == [
            (str(chain.second), "missing"),
            (str(gone), "missing"),
        ]


def test_an_open_commit(chain: Chain) -> None:
    repo = repo_message("default", f"open{next(numbers)}")
    chain.pachd.pfs.create_repo(repo=repo)
    commit = chain.pachd.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
    assert [kind for kind, _ in chain.faults(Reference("default", repo.name, commit.id))] == [
        "unfinished",
        "foreign",
    ]


def test_what_is_not_there_is_an_error(chain: Chain) -> None:
    with pytest.raises(CommitNotFoundError):
        chain.verify(replace(chain.second, version="0" * 32))
    with pytest.raises(BranchNotFoundError):
        chain.verify(replace(chain.second, version="nothing"))
    assert shown(chain, "nothing@master").exit_code == 1


@pytest.fixture
def deleted(chain: Chain, tmp_path: Path) -> Callable[[], Reference]:
    def make() -> Reference:
        runner = chain.runner(tmp_path)
        runner.fill()
        made = runner.run(WRITE)
        chain.pachd.pps.delete_pipeline(pipeline=runner.pipeline().pipeline, keep_repo=True)
        return Reference("default", runner.name, made.job)

    return make


def test_what_can_not_be_looked_at_is_said(chain: Chain, deleted: Callable[[], Reference]) -> None:
    found = chain.verify(deleted())
    assert found.faults == ()
    (unseen,) = found.unseen
    assert "its job is not known any more" in unseen.text
    told = shown(chain, found.of)
    assert told.exit_code == 0
    assert "NOT SEEN: " in told.output
