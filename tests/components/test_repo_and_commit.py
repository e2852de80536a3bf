"""`repo/put`, `repo/get`, `commit/resolve` by KFP's local runner, on the embedded Pachyderm."""

import contextlib
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from pachyderm_sdk.api import pfs, pps
from reusable import (  # type: ignore[import-not-found]
    create_pipeline,
    files,
    get,
    inspect,
    jobs,
    make_table,
    put,
    read_table,
    resolve,
    start,
)

from kfp_pachyderm.testing import Pachyderm
from tests.waiting import PATIENCE

MASTER = "vision/data@master"


@dsl.pipeline(name="there-and-back")
def there_and_back(path: str, text: str = "a,b", folder: bool = False) -> str:
    made = put(artifact=make_table(text=text, folder=folder).output, branch=MASTER, path=path)
    return read_table(table=get(commit=made.outputs["commit"], path=path).outputs["artifact"]).output


def test_a_file_and_a_folder_go_there_and_back(pachyderm: Pachyderm) -> None:
    first = pachyderm.put("vision/data", {"/kept.txt": "kept", "/tables/one.csv": "old"})
    assert there_and_back(path="/table.csv").output == "a,b"
    assert there_and_back(path="/tables", text="x", folder=True).output == "one.csv,two.csv"

    assert files(pachyderm, MASTER) == {
        "/kept.txt": b"kept",
        "/table.csv": b"a,b",
        "/tables/one.csv": b"xone.csv",
        "/tables/deep/two.csv": b"xdeep/two.csv",
    }
    assert files(pachyderm, first) == {"/kept.txt": b"kept", "/tables/one.csv": b"old"}
    metadata = inspect(pachyderm, MASTER).metadata
    assert metadata["kfp-pachyderm/component"] == "repo/put"
    assert metadata["kfp-pachyderm/task"] == "pachyderm-put"
    assert metadata["kfp-pachyderm/run"].startswith("there-and-back-")
    assert metadata["kfp-pachyderm/artifact"].endswith("/make-table/table")


def test_records_are_pages_with_metadata(
    pachyderm: Pachyderm, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    commit = pachyderm.put("vision/data", {"/a/b.txt": "four", "/c.txt": "five5"})
    got = get(commit=MASTER, path="/a/")
    assert got.outputs["commit"] == commit
    said = rf"\[kfp-pachyderm\] got 1 file, 4 B, in .* s; look further: kfp-pachyderm lineage {commit}"
    assert re.search(said, capfd.readouterr().out)
    assert got.outputs["artifact"].metadata == {"commit": commit, "path": "/a", "files": 1, "size_bytes": 4}
    record = got.outputs["pachyderm"]
    assert record.metadata["commit"] == commit
    assert record.metadata["component"] == "repo/get"
    with open(record.path) as page:
        assert f"`{commit}`" in page.read()
    monkeypatch.delenv("KFP_PACHYDERM_ADDRESS")
    assert resolve(reference=MASTER, address=pachyderm.address).outputs["commit"] == commit


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("commit/resolve", {"reference": "vision/none@master"}, "RepoNotFoundError"),
    ("commit/resolve", {"reference": "vision/data@none"}, "BranchNotFoundError"),
    ("commit/resolve", {"reference": "master"}, "CommitReferenceError"),
    ("repo/get", {"commit": MASTER, "path": "/none"}, "NotFoundError.*no file or folder '/none'"),
    ("repo/get", {"commit": MASTER, "timeout": 0}, "timeout must be a positive number"),
    ("repo/put", {"branch": "vision/none@master"}, "RepoNotFoundError"),
    ("repo/put", {"branch": "vision/data@" + "a" * 32}, "is a commit, which never changes"),
]


def test_what_can_not_be_is_said(pachyderm: Pachyderm, tmp_path: Path) -> None:
    head = pachyderm.put("vision/data", {"/a": "A"})
    (tmp_path / "table").write_text("a,b")
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(start(pachyderm, name, tmp_path, tmp_path / "table", **inputs))
            for name, inputs, _ in REFUSED
        ]
        for process, (_, _, text) in zip(processes, REFUSED, strict=True):
            _, told = process.communicate(timeout=PATIENCE)
            assert process.returncode == 1, told
            assert re.search(text, told), told
    assert inspect(pachyderm, MASTER).commit.id == head.partition("@")[2]


def test_a_put_that_fails_leaves_the_branch_as_it_was(pachyderm: Pachyderm, tmp_path: Path) -> None:
    before = pachyderm.put("vision/data", {"/a": "a file"})
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "b").write_text("would lie below a file")

    with start(pachyderm, "repo/put", tmp_path, tmp_path / "table", branch=MASTER, path="/a") as process:
        _, told = process.communicate(timeout=PATIENCE)

    assert (process.returncode, "WriteBackError" in told) == (1, True), told
    assert inspect(pachyderm, MASTER).commit.id == before.partition("@")[2]


def test_sigterm_in_the_middle_of_a_put_leaves_nothing(pachyderm: Pachyderm, tmp_path: Path) -> None:
    before = pachyderm.put("vision/data", {"/a": "A"})
    downstream = create_pipeline(pachyderm, input={"pfs": {"repo": "data", "glob": "/", "s3": True}})
    (earlier,) = jobs(pachyderm, downstream)
    with (tmp_path / "big").open("wb") as big:
        big.truncate(16 * 2**30)

    with start(pachyderm, "repo/put", tmp_path, tmp_path / "big", branch=MASTER) as process:
        assert any("putting 1 files" in line for line in iter(process.stderr.readline, ""))
        assert inspect(pachyderm, MASTER).finished.timestamp() == 0
        process.terminate()
        process.communicate(timeout=PATIENCE)

    assert process.returncode == 128 + signal.SIGTERM
    assert inspect(pachyderm, MASTER).commit.id == before.partition("@")[2]
    stopped, same = jobs(pachyderm, downstream)
    assert (stopped.state, same.job.id) == (pps.JobState.JOB_KILLED, earlier.job.id)
    assert not (tmp_path / "commit").exists()


def test_a_put_waits_for_the_commit_that_is_open(pachyderm: Pachyderm, tmp_path: Path) -> None:
    pachyderm.put("vision/data", {"/a": "A"})
    (tmp_path / "b").write_text("B")
    branch = pfs.Branch.from_uri(MASTER)
    theirs = pachyderm.client.pfs.start_commit(branch=branch)
    with start(pachyderm, "repo/put", tmp_path, tmp_path / "b", branch=MASTER) as process:
        assert any(
            "waiting for the commit that is open" in line for line in iter(process.stderr.readline, "")
        )
        pachyderm.client.pfs.put_file_from_bytes(commit=theirs, path="/c", data=b"C")
        pachyderm.client.pfs.finish_commit(commit=theirs)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert files(pachyderm, (tmp_path / "commit").read_text()) == {"/a": b"A", "/b": b"B", "/c": b"C"}
