"""Faults below the server (disk, files, port): each has a clear error, and work goes on afterwards."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from embedded_bench import Bench
from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.embedded.store.check import check, collect
from kfp_pachyderm.errors import StoreError
from tests.waiting import PATIENCE


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        pytest.skip(f"a small disk needs the right to mount one: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """The folder of a file system of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", "size=24m", "none", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=PATIENCE)


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kfp_pachyderm.embedded", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def _big_chunks(folder: Path) -> list[Path]:
    return [one for one in (folder / "chunks").rglob("*") if one.is_file()]


def test_a_full_disk_refuses_writes_keeps_what_is_there_and_recovers(disk):
    data = disk / "data"
    with start(data) as server:
        bench = Bench(server.address, "p")
        kept = bench.put("images", {"/kept": os.urandom(2**20)})
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as out:
            while True:
                out.write(bytes(2**16))
        with pytest.raises(grpc.RpcError) as error:
            bench.put("images", {"/more": os.urandom(2**22)})
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(bench.read(kept, "/kept")) == 2**20
        filler.unlink()
        for one in bench.client.pfs.list_commit(repo=bench.repo("images"), number=1):
            if not one.is_set("finished"):
                bench.client.pfs.finish_commit(commit=one.commit)
        after = bench.put("images", {"/more": b"fits now"})
        assert bench.paths(after) == ["/kept", "/more"]
    assert check(data).problems == []


def test_a_job_on_a_full_disk_ends_and_the_next_one_runs(disk):
    data = disk / "data"
    with start(data) as server:
        bench = Bench(server.address, "p")
        commit = bench.put("images", {"/a": b"1"})
        put = """
import os, sys, urllib.error, urllib.request
request = urllib.request.Request(os.environ["S3_ENDPOINT"] + "/out/big", os.urandom(30 * 2**20), method="PUT")
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    sys.exit(str(error.code))
"""
        info = bench.ended(bench.claim("edges", commit, put, update=False))
        assert info.state == pps.JobState.JOB_FAILURE
        assert "500" in bench.log(info.job)
    removed = collect(data)
    assert removed.orphan_bytes > 2**20
    with start(data) as server:
        bench = Bench(server.address, "p")
        info = bench.ended(bench.claim("edges", commit, "print('small')"))
        assert info.state == pps.JobState.JOB_SUCCESS
    assert check(data).problems == []


def test_a_read_only_folder_is_said_to_be_one(disk):
    data = disk / "data"
    with start(data) as server:
        Bench(server.address, "p").put("images", {"/a": b"1"})
    before = _bytes(data)
    _mount("-o", "remount,ro", str(disk))
    with pytest.raises(StoreError, match=r"can't be written: .*Read-only file system.*Give a data folder"):
        start(data)
    assert _bytes(data) == before


def test_a_taken_port_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StoreError, match=rf"port {port} on 127.0.0.1 can't be listened on.*another port"):
            start(tmp_path, port=port)
    assert check(tmp_path).problems == []


def test_a_database_of_a_newer_version_stays_as_it_is(tmp_path):
    with start(tmp_path) as server:
        Bench(server.address, "p").put("images", {"/a": b"1"})
    with sqlite3.connect(tmp_path / "pachyderm.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (tmp_path / "pachyderm.db").read_bytes()
    with pytest.raises(StoreError, match=r"has version 99, .* reads up to \d+: install a newer one"):
        start(tmp_path)
    assert (tmp_path / "pachyderm.db").read_bytes() == before


def _damage(chunk: Path, how: str) -> None:
    content = chunk.read_bytes()
    if how == "gone":
        chunk.unlink()
    else:
        chunk.write_bytes(content[:1000] if how == "shorter" else b"?" + content[1:])


def test_a_damaged_chunk_is_named_with_file_and_commit_and_others_stay_readable(tmp_path):
    damaged = {}
    with start(tmp_path) as server:
        bench = Bench(server.address, "p")
        for how in ("shorter", "changed", "gone"):
            before = set(_big_chunks(tmp_path))
            content = os.urandom(200_000)
            commit = bench.put("images", {f"/{how}": content})
            (chunk,) = set(_big_chunks(tmp_path)) - before
            damaged[how] = (commit, chunk, content)
        other = bench.put("images", {"/other": os.urandom(200_000), "/small": b"1"})
    for how, (_, chunk, _) in damaged.items():
        _damage(chunk, how)
    with start(tmp_path) as server:
        bench = Bench(server.address, "p")
        for how, (commit, chunk, _) in damaged.items():
            with pytest.raises(grpc.RpcError) as error:
                bench.read(commit, f"/{how}")
            assert error.value.code() is grpc.StatusCode.DATA_LOSS
            named = f"file /{how} of p/images@{commit.id} can't be read: chunk {chunk.name}"
            assert named in error.value.details()
        assert len(bench.read(other, "/other")) == 200_000
        assert bench.read(other, "/small") == b"1"
        bench.put("images", {"/again": damaged["gone"][2]})
    said = _command("check", "--data-dir", str(tmp_path))
    assert said.returncode == 1
    for how in ("shorter", "changed"):
        assert f"file /{how} of p/images@{damaged[how][0].id}" in said.stdout
        assert f"chunk {damaged[how][1].name} is damaged" in said.stdout
    # The lost content was written again, so the file that had lost it is whole again.
    assert "file /gone" not in said.stdout


def test_check_and_gc_from_the_command_line(tmp_path):
    missing = _command("check", "--data-dir", str(tmp_path / "nothing"))
    assert missing.returncode == 1
    assert missing.stderr.startswith(
        f"StoreError: {tmp_path / 'nothing'} holds no embedded Pachyderm: name the"
    )
    data = tmp_path / "data"
    with start(data) as server:
        bench = Bench(server.address, "p")
        bench.put("images", {"/kept": b"1" * 100_000})
        bench.put("gone", {"/big": os.urandom(300_000), "/small": b"2"})
        bench.client.pfs.delete_repo(repo=bench.repo("gone"))
        refused = _command("gc", "--data-dir", str(data))
        assert refused.stderr.startswith("StoreError: another embedded Pachyderm uses")
    said = _command("check", "--data-dir", str(data))
    assert (said.returncode, said.stdout) == (
        0, "0 problems in 1 files and 1 chunks; 2 things (300001 bytes) that gc would remove\n"
    )  # fmt: skip
    assert (
        _command("gc", "--data-dir", str(data)).stdout == "removed 2 things (300001 bytes), kept 1 chunks\n"
    )
    assert len(_big_chunks(data)) == 1
    assert check(data).orphans == 0
