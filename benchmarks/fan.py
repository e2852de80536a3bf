"""Iterations of a loop with four pipelines against the same with one, side by side as KFP starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kfp_pachyderm.launcher.config import InputConfig, StepConfig, dumps

ITERATIONS, AT_ONCE = 8, 4
#: Seconds that the command of each takes: long beside what a launcher costs on a busy machine of two cores.
WORK = 5.0


def _start(address: str, folder: Path, config: StepConfig) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True)
    files = {"parameters": {"commit": {"outputFile": str(folder / "commit")}}}
    text = json.dumps({"outputs": {**files, "outputFile": str(folder / "output_metadata.json")}})
    launcher = [sys.executable, "-m", "kfp_pachyderm.launcher", dumps(config), "--executor-input", text, "--"]
    return subprocess.Popen(
        [*launcher, "sleep", str(WORK)],
        env={**os.environ, "KFP_PACHYDERM_ADDRESS": address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _loop(address: str, folder: Path, name: str, concurrency: int, run: str) -> float:
    """Seconds that the whole loop takes."""
    config = StepConfig(
        component=name, inputs=(InputConfig("images", "images"),), concurrency=concurrency, gateway="direct"
    )
    begun = time.perf_counter()
    every = [
        _start(address, folder / "loop" / run / name / f"salt-{one}", config) for one in range(ITERATIONS)
    ]
    if sum(process.wait() for process in every):
        raise RuntimeError(f"an iteration of {name} failed")
    return time.perf_counter() - begun


def measure() -> dict[str, float]:
    """Seconds of the loop in a row and side by side, on pipelines that are new and on ones that are there."""
    from benchmarks.fixtures import make_repo
    from kfp_pachyderm.embedded.process import start
    from kfp_pachyderm.local_real import sdk_client
    from kfp_pachyderm.pachyderm.address import parse

    with tempfile.TemporaryDirectory() as text, start(Path(text) / "data") as server:
        make_repo(sdk_client(parse(server.address)), "default", "images", {"/a.txt": b"a"})
        times = {
            (concurrency, run): _loop(server.address, Path(text), f"step-{concurrency}", concurrency, run)
            for run in ("new", "there")
            for concurrency in (1, AT_ONCE)
        }
    return {
        f"{ITERATIONS} in a row, new pipeline, s": times[1, "new"],
        f"{ITERATIONS}, {AT_ONCE} at once, new pipelines, s": times[AT_ONCE, "new"],
        "at once : in a row, new": times[AT_ONCE, "new"] / times[1, "new"],
        f"{ITERATIONS} in a row, s": times[1, "there"],
        f"{ITERATIONS}, {AT_ONCE} at once, s": times[AT_ONCE, "there"],
        "at once : in a row": times[AT_ONCE, "there"] / times[1, "there"],
    }
