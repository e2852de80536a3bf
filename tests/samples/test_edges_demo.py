"""The sample `edges` as `make demo` runs it: photographs in, a montage out, every step on record."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samples import load_sample
from tests.long import long
from tests.terminal import read_line
from tests.waiting import PATIENCE, wait_for

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "samples" / "edges" / "demo.py"


def run_demo(folder: Path) -> tuple[str, dict]:
    done = subprocess.run(
        [sys.executable, str(DEMO)], cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads((folder / ".demo" / "record.json").read_text())


def run_readme(folder: Path) -> str:
    """Runs the README's block for a laptop in the folder that it names; returns its output."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if "import edge_detection" in block]
    there = folder / "samples" / "edges"
    there.mkdir(parents=True)
    shutil.copy(DEMO.with_name("pipeline.py"), there)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=there, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes that name the folder, or work in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                works_in = os.readlink(entry / "cwd")
            except OSError:
                continue
            if str(folder).encode() in text or works_in.startswith(str(folder)):
                found.append(f"{entry.name} {text[:200]!r}")
    return found


def check_list(output: str, log: Path) -> None:
    """Checks that the list has a few lines for each step, and that the log has the steps' whole output."""
    assert f"log      {log}" in output
    steps = re.findall(r"^([a-z-]+) +SUCCESS(?:, (.*))?, \d+\.\d s$", output, re.MULTILINE)
    assert [(name, said.split(",")[0]) for name, said in steps] == [
        ("pachyderm-snapshot", ""),
        ("edges", "5 objects"),
        ("montage", "1 object"),
    ]
    assert len(output.splitlines()) < 50
    text = log.read_text()
    assert "outlined coffee.png" in text
    assert "[kfp-pachyderm] job=" in text
    assert "\x1b" not in text
    assert len(text.splitlines()) < 100


def wait_until_gone(folder: Path) -> None:
    wait_for(lambda: not left_behind(folder), f"the end of what works in {folder}")


def test_demo_shows_where_the_montage_came_from_and_works_again(tmp_path: Path) -> None:
    output, record = run_demo(tmp_path)

    first, second = record["steps"]
    assert [first["kfp_task"], second["kfp_task"]] == ["edges", "montage"]
    assert first["input_images"] == second["input_images"] == record["photographs"]
    assert second["input_edges"] == first["output_commit"] == f"vision/edges@{first['job']}"
    assert {step["state"] for step in record["steps"]} == {"SUCCESS"}
    assert all(
        step["sidecar"].startswith("http://") and step["duration_seconds"] > 0 for step in record["steps"]
    )
    montage = second["output_commit"]
    assert set(record["lineage"][montage]) == {first["output_commit"], record["photographs"]}
    assert record["lineage"][first["output_commit"]] == [record["photographs"]]
    for shown in (first["job"], second["job"], record["photographs"], record["picture"]):
        assert shown in output
    check_list(output, tmp_path / ".demo" / "demo.log")

    picture = np.asarray(Image.open(record["picture"]))
    assert picture.shape == (480, 5 * 320, 3)
    photographs, outlines = picture[:240], picture[240:]
    assert len(np.unique(photographs)) > 100, "photographs have many shades"
    assert np.mean(outlines > 215) > 0.5, "outlines are drawn on white"
    assert np.mean(outlines < 215) > 0.01, "and there are some"

    _, again = run_demo(tmp_path)
    assert {step["job"] for step in again["steps"]}.isdisjoint(step["job"] for step in record["steps"])
    assert again["photographs"] == record["photographs"]

    made, address = run_readme(tmp_path).split()[-2:]
    assert made.startswith("vision/montage@")
    assert made not in {step["output_commit"] for step in [*record["steps"], *again["steps"]]}
    assert address.startswith("grpc://")
    wait_until_gone(tmp_path)


@contextlib.contextmanager
def demo_with_a_job(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo, running in a session of its own; its first job is open."""
    with subprocess.Popen(
        [sys.executable, str(DEMO)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            assert demo.stdout
            for line in demo.stdout:
                if re.match(r"edges +job ", line):
                    break
            yield demo
            print(demo.stdout.read())  # what it said at its end; pytest shows it when the test fails
            demo.wait(PATIENCE)
        finally:
            demo.kill()


def test_a_demo_that_fails_shows_why(tmp_path: Path) -> None:
    for file in ("demo.py", "live.py", "pipeline.py"):
        shutil.copy(DEMO.with_name(file), tmp_path)
    pipeline = tmp_path / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("    import io\n", "    import no_such_module\n", 1))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "demo.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(r"^edges +FAILURE, \d+\.\d s$", done.stdout, re.MULTILINE)
    assert "    ModuleNotFoundError: No module named 'no_such_module'" in done.stdout
    assert re.search(r"^    .*look further: kfp-pachyderm lineage", done.stdout, re.MULTILINE)
    log = tmp_path / ".demo" / "demo.log"
    assert done.stderr.splitlines()[-1] == f"log      {log}"
    assert "no_such_module" in log.read_text()
    wait_until_gone(tmp_path)


def test_on_a_terminal_the_list_follows_the_step_that_runs(tmp_path: Path) -> None:
    terminal, theirs = os.openpty()
    live = load_sample("edges", "live")
    with open(theirs, "w") as shown, live.StepList(tmp_path / "log", shown) as steps:
        steps.write(
            "10:00:00.1 - INFO - Executing task \x1b[96m'edges'\x1b[0m\n    [kfp-pachyderm] job=0e45 pipe"
        )
        steps.write("line=vision/edges\n    [kfp-pachyderm] job 0e45 is CREATED, waiting for the worker\n")
        steps.write(
            "    outlined a.png\n    [kfp-pachyderm] delivered: 5 objects, 54.0 KiB, verified, in 0.1 s\n"
        )
        steps.write("INFO - Task 'edges' finished with status SUCCESS\n")
        text = read_line(terminal)
    os.close(terminal)
    *drawn, last = text.split("\r\x1b[K")[1:]
    assert [" ".join(one.split()) for one in drawn] == [
        "edges starts",
        "edges job 0e45",
        "edges job 0e45 is CREATED, waiting for the worker",
    ]
    assert re.fullmatch(r"edges +SUCCESS, 5 objects, 54.0 KiB, 0\.\d s\r\n", last)


@pytest.mark.parametrize(
    "victim", [pytest.param("demo", marks=long), "server", pytest.param("launcher", marks=long)]
)
def test_demo_works_after_kill_9(tmp_path: Path, victim: str) -> None:
    with demo_with_a_job(tmp_path) as demo:
        os.kill(_pid_of(victim, demo.pid, tmp_path), signal.SIGKILL)
    assert demo.returncode != 0

    _, record = run_demo(tmp_path)
    assert len(record["steps"]) == 2
    wait_until_gone(tmp_path)


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    with demo_with_a_job(tmp_path) as demo:
        os.killpg(demo.pid, signal.SIGINT)
    assert demo.returncode == 130
    wait_until_gone(tmp_path)


def _pid_of(victim: str, demo: int, folder: Path) -> int:
    if victim == "demo":
        return demo
    if victim == "server":
        return json.loads((folder / ".demo" / "pachyderm" / "server.json").read_text())["pid"]
    for entry in Path("/proc").iterdir():
        try:
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            if (
                entry.name.isdigit()
                and os.getsid(int(entry.name)) == demo
                and b"kfp_pachyderm.launcher" in argv
            ):
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError(f"no launcher in session {demo}")
