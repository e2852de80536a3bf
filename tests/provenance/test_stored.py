"""The record in a commit's metadata: written, read, bounded, and edited by others."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_pachyderm.pachd.commits.file_entry import FileEntry
from kfp_pachyderm.pachd.references import Reference
from kfp_pachyderm.provenance.file_list import LISTED, file_list
from kfp_pachyderm.provenance.kfp_task import KfpTask
from kfp_pachyderm.provenance.record import OPEN, Artifact, Code, Hashed, Interface, Source, StepRecord
from kfp_pachyderm.provenance.stored_record import DIGEST_KEY, RECORD_KEY, bounded, digest, entries, read

OUTPUT = Reference("vision", "edges", "b" * 32)
TASK = KfpTask(
    "edge-detection", "run", "edges", "5", "uid", "edges", "sha256:1", "python:3.11", "0.1.0", "percent"
)
CODE = Code(
    command=("sh", "-c", "é\0{{$}}"),
    parameters={"sigma": 1.5, "names": ["a", {"b": None}], "text": "日本 😀\0", "yes": True},
    private=("token",),
    kfp="2.17.0",
    source=Source("c" * 40, True, "pipelines/edges.py"),
    settings={"version": 1, "kind": "step", "inputs": [{"name": "images", "repo": "images"}]},
    interface=Interface(
        ("Output",),
        {"model": Artifact("system.Model@0.0.1", "minio://b/model")},
        {"data": (Artifact("system.Dataset@0.0.1", "/data"),)},
    ),
)
RECORD = StepRecord(
    task=TASK,
    project="vision",
    pipeline="edges",
    version=3,
    job="b" * 32,
    state="SUCCESS",
    inputs={"images": Reference("vision", "images", "a" * 32)},
    output=OUTPUT,
    sidecar="http://s3-x.pachyderm:1600",
    started="2026-01-02T03:04:05.000+00:00",
    finished="2026-01-02T03:04:06.500+00:00",
    duration=1.5,
    size=5,
    objects=12,
    code=CODE,
    files=file_list([FileEntry("/a", 5, "00ff")]),
)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        replace(RECORD, code=Code(), files=None, objects=None, inputs={}, state=OPEN, reason="no"),
        replace(RECORD, code=replace(CODE, source=Source("c"), command=(), command_hash=Hashed("x", 3))),
        replace(RECORD, code=replace(CODE, parameters={"large": Hashed("sha256:1", 9999)})),
        replace(RECORD, files=file_list([]), pipeline="edges-2", sibling_of="edges"),
    ],
)
def test_what_is_written_is_read(record: StepRecord) -> None:
    written = entries(record)
    found = read(OUTPUT, written)
    assert found is not None
    assert (found.record, found.is_edited, found.problem) == (record, False, "")
    assert all(text.isascii() and "\0" not in text for text in written.values())


def test_an_edit_shows() -> None:
    written = entries(RECORD)
    for edited in (
        {**written, RECORD_KEY: written[RECORD_KEY].replace("1.5", "1.6")},
        {**written, DIGEST_KEY: digest("another")},
        {RECORD_KEY: written[RECORD_KEY]},
        {DIGEST_KEY: written[DIGEST_KEY], **TASK.commit_metadata()},
    ):
        found = read(OUTPUT, edited)
        assert found is not None
        assert found.is_edited


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "5",
        "[" * 100_000,
        "NaN",
        '{"version":99}',
        '{"version":1}',
        '{"version":1,"task":{},"project":5,"output":"a/b@c"}',
        '{"version":1,"task":[],"project":"p","output":"a/b@c"}',
        '{"version":1,"task":{},"project":"p","output":"no commit"}',
        '{"version":1,"task":{},"project":"p","output":"a/b@c","files":{"listed":[[1]]}}',
        '{"version":1,"task":{},"project":"p","output":"a/b@c","inputs":[1]}',
        '{"version":1,"task":{},"project":"p","output":"a/b@c","duration":true}',
    ],
)
def test_a_text_that_is_no_record_is_told_as_such(text: str) -> None:
    found = read(OUTPUT, {RECORD_KEY: text, DIGEST_KEY: digest(text), **TASK.commit_metadata()})
    assert found is not None
    assert found.problem
    assert not found.is_edited
    assert found.record.task == TASK


def test_a_later_release_may_say_more() -> None:
    data = json.loads(entries(RECORD)[RECORD_KEY])
    data["task"]["mood"] = data["mood"] = "fine"
    found = read(OUTPUT, {RECORD_KEY: json.dumps(data)})
    assert found is not None
    assert (found.record, found.problem) == (RECORD, "")


def test_a_commit_of_an_older_release_says_what_it_knew() -> None:
    found = read(OUTPUT, {**TASK.commit_metadata(), "kfp-pachyderm/failure": "it broke"})
    assert found is not None
    assert (found.record.task, found.record.reason, found.digest) == (TASK, "it broke", "")
    assert (found.record.output, found.record.state) == (OUTPUT, OPEN)


@pytest.mark.parametrize("metadata", [{}, {"owner": "me"}, {"kfp-pachyderm/keys": "percent"}])
def test_a_commit_of_others_has_no_record(metadata: dict[str, str]) -> None:
    assert read(OUTPUT, metadata) is None


def test_large_values_are_kept_by_hash() -> None:
    text = "x" * 5_000_000
    code = bounded(Code(parameters={"text": text, "small": 1}, command=("sh", "-c", "y" * 200_000)))
    assert code.parameters == {"small": 1, "text": Hashed(digest(json.dumps(text)), len(text) + 2)}
    assert code.command == ()
    assert code.command_hash is not None
    assert sum(map(len, entries(replace(RECORD, code=code)).values())) < 5_000


def test_many_values_are_kept_until_the_room_is_used() -> None:
    code = bounded(Code(parameters={f"p{i:03}": "x" * 1000 for i in range(200)} | {"small": 1}))
    kept = [name for name, value in code.parameters.items() if not isinstance(value, Hashed)]
    assert "small" in kept
    assert 10 < len(kept) < 30
    assert set(code.parameters) == {f"p{i:03}" for i in range(200)} | {"small"}


def test_what_json_has_no_number_for_is_a_text() -> None:
    code = bounded(Code(parameters={"a": math.nan, "b": [math.inf, {"c": -math.inf}], "d": 0.5}))
    assert code.parameters == {"a": "NaN", "b": ["Infinity", {"c": "-Infinity"}], "d": 0.5}


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values))
def test_any_parameters_can_be_kept(parameters: dict[str, Any]) -> None:
    code = bounded(Code(parameters=parameters))
    found = read(OUTPUT, entries(replace(RECORD, code=code)))
    assert found is not None
    assert (found.record.code, found.problem, found.is_edited) == (code, "", False)


def test_many_files_are_kept_by_their_digest() -> None:
    few = file_list(FileEntry(f"/{i:06}", i, "ab" * 32) for i in range(100))
    assert few.listed is not None
    assert (few.count, few.size, len(few.listed)) == (100, sum(range(100)), 100)
    many = file_list(FileEntry(f"/{i:06}", 1, "ab" * 32) for i in range(LISTED))
    assert (many.count, many.size, many.listed) == (LISTED, LISTED, None)
    other = file_list(FileEntry(f"/{i:06}", 1, ("ab" if i else "cd") * 32) for i in range(LISTED))
    assert other.digest != many.digest
