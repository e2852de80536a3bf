"""The server as a process: start, join, refuse, end, and go on after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest
from embedded_bench import Bench
from pachyderm_sdk.api import pps

from kfp_pachyderm.embedded.process import start
from kfp_pachyderm.ending import Ending
from kfp_pachyderm.errors import StoreError
from tests.waiting import PATIENCE, wait_for

_FOREVER = "import time; print('started', flush=True); time.sleep(600)"


def _gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _user_code(server_pid):
    return [one.pid for one in psutil.Process(server_pid).children(recursive=True)]


def test_a_second_start_joins_and_leaves_the_first_one_running(fresh):
    said = json.loads((fresh.data_dir / "server.json").read_text())
    assert (said["address"], said["pid"]) == (fresh.address, fresh.pid)
    with start(fresh.data_dir) as second:
        assert second.joined
        assert second.address == fresh.address
    assert Bench(fresh.address, "still-there").project


def test_a_second_server_on_the_folder_is_refused(fresh):
    command = [sys.executable, "-m", "kfp_pachyderm.embedded", "--data-dir", str(fresh.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stderr.startswith("StoreError: another embedded Pachyderm uses")


def test_many_starts_at_once_give_one_server(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(start(tmp_path / "data"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.pid for one in found}) == 1
    assert [one.joined for one in found].count(False) == 1
    for one in found:
        one.close()


def test_it_ends_with_its_parent_and_takes_user_code_along(fresh):
    bench = Bench(fresh.address, "p")
    job = bench.claim("edges", bench.put("images", {"/a": b"1"}), _FOREVER, update=False)
    wait_for(lambda: "started" in bench.log(job), "user code")
    children = _user_code(fresh.pid)
    assert children
    fresh._process.stdin.close()
    wait_for(lambda: _gone(fresh.pid), "the server's end")
    for pid in children:
        wait_for(lambda pid=pid: _gone(pid), "user code's end")


def test_who_waits_for_a_job_hears_that_the_server_was_stopped(fresh):
    bench = Bench(fresh.address, "p")
    job = bench.claim("edges", bench.put("images", {"/a": b"1"}), _FOREVER, update=False)
    wait_for(lambda: "started" in bench.log(job), "user code")
    found = []
    waiting = threading.Thread(target=lambda: found.append(bench.ended(job)))
    waiting.start()
    os.kill(fresh.pid, signal.SIGTERM)
    waiting.join(PATIENCE)
    assert [(one.state, one.reason) for one in found] == [
        (pps.JobState.JOB_KILLED, "the embedded Pachyderm was stopped")
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-m", "kfp_pachyderm.embedded", "--data-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert json.loads(process.stdout.readline())["pid"] == process.pid
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    process.stdout.close()


def test_ctrl_c_of_a_script_leaves_what_it_has_in_the_background():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Ending() as end:
            signal.raise_signal(signal.SIGINT)
            assert not end.is_set()
            signal.raise_signal(signal.SIGTERM)
            assert end.is_set()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


_AT_EACH_LINE = """
import signal, sys
from kfp_pachyderm.ending import Ending

def lines_of_a_wait(signalled_at=None):
    seen = 0
    def trace(frame, event, _):
        nonlocal seen
        seen += event == "line"
        if event == "line" and seen == signalled_at:
            signal.raise_signal(signal.SIGTERM)
        return trace
    with Ending() as end:
        if signalled_at is None:
            end.set()
        sys.settrace(trace)
        end.wait()
        sys.settrace(None)
    return seen

for line in range(1, lines_of_a_wait() + 1):
    lines_of_a_wait(line)
"""


def test_a_signal_at_any_line_of_the_wait_ends_it():
    subprocess.run([sys.executable, "-c", _AT_EACH_LINE], check=True, timeout=PATIENCE)


def test_after_kill_9_finished_commits_are_whole_and_unfinished_jobs_run_again(tmp_path):
    data = tmp_path / "data"
    gate = tmp_path / "gate"
    code = f"""
import os, time
print("started", flush=True)
while not os.path.exists({str(gate)!r}):
    time.sleep(0.01)
"""
    first = start(data)
    bench = Bench(first.address, "p")
    commit = bench.put("images", {"/a": b"1" * 100_000, "/b": b"2"})
    opened = bench.client.pfs.start_commit(branch=bench.branch("images", "other"))
    bench.client.pfs.put_file_from_bytes(commit=opened, path="/half", data=b"3")
    job = bench.claim("edges", commit, code, update=False)
    wait_for(lambda: "started" in bench.log(job), "user code")
    bench.client.pfs.put_file_from_bytes(commit=bench.commit("edges", job.id), path="/x", data=b"lost")
    left = _user_code(first.pid)
    os.kill(first.pid, signal.SIGKILL)
    first.close()
    with start(data) as second:
        again = Bench(second.address, "p")
        for pid in left:
            wait_for(lambda pid=pid: _gone(pid), "the end of what the dead server left")
        assert again.read(commit, "/a") == b"1" * 100_000
        assert not again.client.pfs.inspect_commit(commit=again.commit("images", opened.id)).is_set(
            "finished"
        )
        wait_for(lambda: again.log(job).count("started") == 2, "user code's second run")
        gate.touch()
        info = again.ended(job)
        assert (info.state, info.restart) == (pps.JobState.JOB_SUCCESS, 0)
        assert again.paths(again.commit("edges", job.id)) == []


@pytest.fixture
def unwritable(tmp_path):
    (tmp_path / "data").write_text("a file, not a folder")
    return tmp_path / "data"


def test_what_is_wrong_with_the_folder_is_said(tmp_path, unwritable):
    with pytest.raises(StoreError, match="data can't be"):
        start(unwritable)
    corrupt = tmp_path / "corrupt"
    corrupt.mkdir()
    (corrupt / "pachyderm.db").write_bytes(b"nothing that SQLite knows" * 100)
    with pytest.raises(StoreError, match="can't be used: file is not a database"):
        start(corrupt)
