"""kill -9 at random moments under load: acknowledged data is whole, and no commit has half of its content.

20 kills; KFP_PACHYDERM_KILLS sets another number, KFP_PACHYDERM_SEED repeats the moments of an earlier run.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import struct
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from embedded_bench import Bench
from pachyderm_sdk.api import pfs, pps

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.embedded.store.check import check, collect
from kfp_pachyderm.errors import PachydermUnreachableError, StoreError
from tests.waiting import PATIENCE, wait_for

KILLS = int(os.environ.get("KFP_PACHYDERM_KILLS", "20"))
SEED = os.environ.get("KFP_PACHYDERM_SEED", str(random.getrandbits(32)))

_COPY = 'cp "$texts"/* "$KFP_PACHYDERM_PFS"/out/'
_END = (ConnectionError, grpc.RpcError, StoreError, PachydermUnreachableError)


@dataclass
class Load:
    """What the server has acknowledged: commit ID, or job ID, → hash of the content of its files."""

    commits: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    numbers: random.Random = field(default_factory=lambda: random.Random(SEED))

    def acknowledged(self) -> int:
        return len(self.commits) + len(self.jobs)

    def content(self, number: random.Random) -> bytes:
        # The sizes of one chunk file, of a chunk in SQLite, and of several chunks.
        return number.randbytes(number.choice((70_000, 900, 5_000_000 if number.random() < 0.05 else 20)))


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_commits(address: str, load: Load, number: random.Random) -> None:
    """Makes commits until the server is killed: start, two files, finish."""
    bench = Bench(address, "p")
    while True:
        data = load.content(number)
        load.commits[bench.put("load", {"/f": data, "/g": data}).id] = _hash(data)


def _write_branches(address: str, load: Load, number: random.Random) -> None:
    """Makes commits by one ModifyFile each until the server is killed; each makes a job downstream."""
    bench = Bench(address, "p")
    while True:
        data = load.content(number)
        head = pfs.Commit(repo=bench.repo("texts"), branch=bench.branch("texts"))
        bench.client.pfs.put_file_from_bytes(commit=head, path="/f", data=data)
        found = bench.client.pfs.inspect_branch(branch=bench.branch("texts")).head
        load.jobs[found.id] = _hash(data)
        if len(load.jobs) % 3 == 0:
            bench.ended(bench.job("copy", found.id))


def _until_killed(work, *arguments) -> threading.Thread:
    def run() -> None:
        try:
            work(*arguments)
        except _END:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def _prepare(bench: Bench) -> None:
    bench.client.pfs.create_repo(repo=bench.repo("load"))
    bench.client.pfs.create_repo(repo=bench.repo("texts"))
    inputs = {"pfs": {"repo": "texts", "glob": "/"}}
    bench.create("copy", "", inputs, transform={"cmd": ["sh", "-c", _COPY]})


def _close_what_is_open(bench: Bench) -> None:
    for commit in bench.client.pfs.list_commit(repo=bench.repo("load"), number=3):
        if not commit.is_set("finished"):
            bench.client.pfs.finish_commit(commit=commit.commit, error="its writer was cut off")


def _one_life(folder: Path, load: Load) -> None:
    """Starts the server, has clients write to it, and kills it at a random moment."""
    number = load.numbers
    process = start(folder)
    early = number.random() < 0.15
    try:
        if early:
            # The kill comes while the server still takes up the jobs that the last one left.
            time.sleep(number.random() * 0.05)
            return
        _close_what_is_open(Bench(process.address, "p"))
        seeds = [random.Random(number.random()) for _ in range(3)]
        threads = [
            _until_killed(_write_commits, process.address, load, seeds[0]),
            _until_killed(_write_branches, process.address, load, seeds[1]),
        ]
        enough = load.acknowledged() + number.randint(1, 12)
        wait_for(lambda: load.acknowledged() >= enough, "what the clients write")
        time.sleep(number.random() * 0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.close()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def _check_commits(bench: Bench, load: Load) -> None:
    known = {one.commit.id: one for one in bench.client.pfs.list_commit(repo=bench.repo("load"))}
    assert set(load.commits) <= set(known), "acknowledged commits are gone"
    for commit_id, info in known.items():
        if not info.is_set("finished") or info.error:
            assert commit_id not in load.commits
            continue
        commit = bench.commit("load", commit_id)
        if not bench.paths(commit):
            # An empty commit, which the clients never make.
            assert commit_id not in load.commits
            continue
        first, second = bench.read(commit, "/f"), bench.read(commit, "/g")
        assert first == second, f"{commit_id} is finished and shows half of its content"
        assert load.commits.get(commit_id, _hash(first)) == _hash(first)


def _check_jobs(bench: Bench, load: Load) -> dict[str, int]:
    found = {one.commit.id for one in bench.client.pfs.list_commit(repo=bench.repo("texts"))}
    assert set(load.jobs) <= found
    states: dict[str, int] = {}
    for job_id, wanted in load.jobs.items():
        info = bench.ended(bench.job("copy", job_id))
        name = str(pps.JobState(info.state).name)
        states[name] = states.get(name, 0) + 1
        assert info.state == pps.JobState.JOB_SUCCESS or info.reason, info
        if info.state == pps.JobState.JOB_SUCCESS:
            assert _hash(bench.read(bench.commit("copy", job_id), "/f")) == wanted
    return states


def _referenced(folder: Path) -> set[str]:
    """Names of the chunk files that the files need, read without the store's code."""
    with sqlite3.connect(folder / "pachyderm.db") as db:
        rows = db.execute("SELECT chunks FROM files WHERE chunks IS NOT NULL").fetchall()
    db.close()
    pairs = [pair for (refs,) in rows for pair in struct.iter_unpack(">32sI", refs)]
    return {hash_.hex() for hash_, size in pairs if size > 65536}


@pytest.mark.timeout(900 + 10 * KILLS)
def test_kills_lose_nothing_acknowledged_and_show_nothing_by_half(tmp_path):
    print(f"KFP_PACHYDERM_SEED={SEED}")
    folder, load = tmp_path / "data", Load()
    with start(folder) as first:
        _prepare(Bench(first.address, "p"))
    for number in range(KILLS):
        _one_life(folder, load)
        if number % 5 == 4:
            assert check(folder).problems == []
    with start(folder) as last:
        bench = Bench(last.address, "p")
        _close_what_is_open(bench)
        _check_commits(bench, load)
        states = _check_jobs(bench, load)
    assert check(folder).problems == []
    removed = collect(folder)
    after = check(folder)
    assert (after.problems, after.orphans) == ([], 0)
    assert {one.name for one in (folder / "chunks").rglob("*") if one.is_file()} == _referenced(folder)
    assert load.commits
    assert load.jobs
    print(
        f"{KILLS} kills: {len(load.commits)} commits and {len(load.jobs)} jobs acknowledged and whole, "
        f"{states}; {after.files} files, {after.chunks} chunks, gc removed {removed.orphans} things"
    )
