"""A loop on four pipelines against the same loop on one; all iterations begin at once, as with KFP."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.fixtures import start_step
from kfp_pachyderm.launcher.config import InputConfig, StepConfig

ITERATIONS, AT_ONCE = 8, 4
#: Seconds that the command of each iteration takes.
WORK = 5.0


def _loop(server: Any, client: Any, folder: Path, concurrency: int, run: str) -> tuple[float, float]:
    """Seconds of the whole loop, and seconds from its first job's start to its last job's end."""
    name = f"step-{concurrency}"
    config = StepConfig(
        component=name, inputs=(InputConfig("images", "images"),), concurrency=concurrency, gateway="direct"
    )
    before = {one.job.id for one in client.pps.list_job()}
    begun = time.perf_counter()
    salts = [folder / "loop" / run / name / f"salt-{one}" for one in range(ITERATIONS)]
    every = [start_step(server.address, one, config, "sleep", str(WORK)) for one in salts]
    if sum(process.wait() for process in every):
        raise RuntimeError(f"an iteration of {name} failed")
    seconds = time.perf_counter() - begun
    made = [one for one in client.pps.list_job() if one.job.id not in before]
    return seconds, (max(one.finished for one in made) - min(one.created for one in made)).total_seconds()


def measure() -> dict[str, float]:
    """Title → seconds of the loop with one pipeline and with four, on new pipelines and on existing ones."""
    from benchmarks.fixtures import make_repo
    from kfp_pachyderm.embedded.process import start
    from kfp_pachyderm.local.real_pachyderm import sdk_client
    from kfp_pachyderm.pachd.connection.address import parse

    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as text, start(Path(text) / "data") as server:
        client = sdk_client(parse(server.address))
        make_repo(client, "default", "images", {"/a.txt": b"a"})
        for run in ("new pipelines", "again"):
            row, fan = (_loop(server, client, Path(text), one, run) for one in (1, AT_ONCE))
            found |= {
                f"{ITERATIONS} in a row, {run}, s": row[0],
                f"{ITERATIONS}, {AT_ONCE} at once, {run}, s": fan[0],
                f"at once : in a row, {run}": fan[0] / row[0],
                f"at once : in a row, {run}, jobs alone": fan[1] / row[1],
            }
    return found
