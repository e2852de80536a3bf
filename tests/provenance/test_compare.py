"""The texts, pages and JSON of `diff` and `verify`, also for hostile records."""

from __future__ import annotations

import json
from dataclasses import replace

from kfp_pachyderm.pachd.commits.file_entry import FileEntry
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.check.files import file_faults
from kfp_pachyderm.provenance.check.model import Fault, Looked
from kfp_pachyderm.provenance.check.verified import Verified
from kfp_pachyderm.provenance.compare.diff import Diff
from kfp_pachyderm.provenance.compare.model import Change, FileChange, InputDiff, StepDiff
from kfp_pachyderm.provenance.compare.recorded_commit import Made
from kfp_pachyderm.provenance.compare.runs import _pairs
from kfp_pachyderm.provenance.compare.step import _parameters
from kfp_pachyderm.provenance.compare.text import SHOWN
from kfp_pachyderm.provenance.file_list import file_list
from kfp_pachyderm.provenance.record import Code
from kfp_pachyderm.provenance.stored_record import bounded
from tests.provenance.test_stored import RECORD

EVIL = "<script>alert(1)</script>\x1b[2J\n\u202e"
STEP = StepDiff(
    task=EVIL,
    before="a/b@" + "0" * 32,
    after="a/b@" + "1" * 32,
    inputs=(InputDiff(EVIL, None, EVIL, (FileChange(EVIL, "changed", 1, 1),)),),
    code=(Change("image", EVIL, None),),
    command=(f"-{EVIL}", f"+{EVIL}"),
    parameters=(Change(EVIL, EVIL, EVIL),),
    versions=(Change("kfp", EVIL, EVIL),),
    files=tuple(FileChange(f"/{i}{EVIL}", "added", None, i) for i in range(100)),
    unseen=(EVIL,),
)
DIFF = Diff(EVIL, "run-2", (STEP, StepDiff("new", None, "a/b@c"), StepDiff("gone", "a/b@c", None)))


def test_what_others_wrote_is_shown_and_not_obeyed() -> None:
    assert "\x1b" not in DIFF.text()
    assert "\u202e" not in DIFF.text()
    for page in (DIFF.html(), DIFF._repr_html_()):
        assert "<script" not in page
    assert json.loads(json.dumps(DIFF.as_json()))["steps"][0]["parameters"][0]["before"] == EVIL


def test_long_lists_are_cut_for_people_only() -> None:
    lines = DIFF.text().splitlines()
    assert sum(line.startswith("  file + ") for line in lines) == SHOWN
    assert any("100 in all: 100 added" in line for line in lines)
    assert len(DIFF.as_json()["steps"][0]["files"]) == 100


def test_steps_of_one_run_only_are_told() -> None:
    text = DIFF.text()
    assert "new: only the second has it: a/b@c" in text
    assert "gone: only the first has it: a/b@c" in text
    assert not DIFF.same
    assert not replace(DIFF, steps=DIFF.steps[1:]).same


def made(version: str, **parameters: object) -> Made:
    commit = Reference("a", "b", version * 32)
    return Made(commit, replace(RECORD, code=Code(parameters=dict(parameters))), {}, True)


def test_executions_of_a_loop_are_paired_by_what_they_have_in_common() -> None:
    before = [made("1", item="x", rate=1), made("2", item="y", rate=1), made("3", item="z", rate=1)]
    after = [made("4", item="y", rate=2), made("5", item="x", rate=2)]
    pairs = [(a and a.commit.version[0], b and b.commit.version[0]) for a, b in _pairs(before, after)]
    assert pairs == [("1", "5"), ("2", "4"), ("3", None)]
    back = [(a and a.commit.version[0], b and b.commit.version[0]) for a, b in _pairs(after, before)]
    assert back == [("4", "2"), ("5", "1"), (None, "3")]


def test_a_value_is_the_same_whether_it_was_kept_by_hash_or_not() -> None:
    text = "x" * 1000
    small = bounded(Code(parameters={"text": text, "other": 1}))
    crowded = bounded(Code(parameters={"text": text, **{f"p{i}": "y" * 900 for i in range(40)}}))
    found = {one.name: one for one in _parameters(small, crowded)}
    assert "text" not in found
    assert (found["other"].before, found["other"].after) == ("1", None)
    changed = list(_parameters(small, bounded(Code(parameters={"text": text * 9, "other": 1.0}))))
    assert [one.name for one in changed] == ["other", "text"]
    assert "8.8 KiB, sha256:" in (changed[1].after or "")


def test_a_list_of_files_that_is_not_what_its_digest_says() -> None:
    files = [FileEntry("/a", 1, "00"), FileEntry("/b", 1, "00")]
    recorded = replace(file_list(files), listed=tuple(files[:1]))
    assert list(file_faults(recorded, files)) == []
    faults = list(file_faults(recorded, [replace(files[0], hash="11"), files[1]]))
    assert len(faults) == 3
    assert "does not match" in faults[0]


def test_faults_as_text_and_json() -> None:
    commit = Reference("a", "b", "0" * 32)
    found = Verified(str(commit), (Looked(commit, faults=(Fault(str(commit), "file", EVIL),)),))
    assert (found.ok, found.as_json()["ok"]) == (False, False)
    assert "\x1b" not in found.text()
    assert "1 fault" in found.text()
    assert "<script" not in found._repr_html_()
    run = Verified("run-1", (Looked(commit, digest="sha256:1"),))
    assert "run-1 is what its commits' records say; 1 commit looked at" in run.text()
