"""`kfp-pachyderm dev`: what it prints for a person at a terminal, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from embedded_bench import Bench
from pachyderm_sdk import Client
from pachyderm_sdk.api import pps

from tests.waiting import PATIENCE

COMMAND = Path(sysconfig.get_path("scripts")) / "kfp-pachyderm"


class Dev:
    """A running `kfp-pachyderm dev`; `welcome` is the text that it prints first."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "dev", "--data", str(folder), "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines: list[str] = []
        while not lines or not lines[-1].startswith("It keeps"):
            lines.append(self.process.stdout.readline())
            assert lines[-1], self.process.stderr.read()
        self.welcome = "".join(lines)
        self.address = re.search(r"grpc://127.0.0.1:\d+", self.welcome)[0]

    def end(self, number: int) -> tuple[int, list[dict[str, str]]]:
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [json.loads(line) for line in log.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_what_it_keeps_and_ends_cleanly(tmp_path, number):
    dev = Dev(tmp_path / "data")
    assert f'Client.from_pachd_address("{dev.address}")' in dev.welcome
    assert f"export KFP_PACHYDERM_ADDRESS={dev.address}" in dev.welcome
    assert "1 project, 0 repos, 0 commits, 0 pipelines, 0 jobs." in dev.welcome
    with pytest.raises(ConnectionRefusedError):  # Without --host no other address.
        socket.create_connection(("127.0.0.2", int(dev.address.rpartition(":")[2])), timeout=PATIENCE)
    bench = Bench(dev.address, "p")
    job = bench.claim("edges", bench.put("images", {"/a": b"1"}), "raise SystemExit(3)", update=False)
    reason = bench.ended(job).reason
    code, log = dev.end(number)
    assert code == 0
    assert {tuple(line) for line in log} == {("time", "level", "logger", "message")}
    said = [line["message"] for line in log]
    assert f"job p/edges@{job.id} ended, JOB_FAILURE: {reason}" in said
    assert said[-1] == "stopping"
    again = Dev(tmp_path / "data")
    assert "2 projects, 2 repos, 2 commits, 1 pipeline, 1 job." in again.welcome
    assert again.end(number)[0] == 0


def test_what_it_says_is_enough_to_reach_it_with_auth(tmp_path):
    dev = Dev(tmp_path / "data", "--auth")
    names: dict[str, object] = {}
    lines = [line.split("pachyderm_sdk  ")[-1].strip() for line in dev.welcome.splitlines()]
    exec("\n".join(line for line in lines if "Client" in line), names)  # noqa: S102
    client = names["client"]
    assert isinstance(client, Client)
    assert list(client.pps.list_job(pipeline=pps.Pipeline())) == []
    token = re.search(r'KFP_PACHYDERM_TOKEN="\$\(cat (.*)\)"', dev.welcome)[1]
    assert os.stat(token).st_mode & 0o077 == 0
    assert Path(token).read_text().strip() not in dev.welcome
    assert dev.end(signal.SIGINT)[0] == 0


def test_what_is_wrong_is_one_line(tmp_path):
    (tmp_path / "data").touch()
    command = [COMMAND, "dev", "--data", str(tmp_path / "data" / "below")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"StoreError: .*below can't be written: .*\n", done.stderr)


def test_the_command_line_stays_light():
    heavy = {"grpc", "kfp", "cheroot", "psutil"}
    code = f"import sys, kfp_pachyderm.cli; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, check=True)
