"""A Dask cluster whose scheduler and two workers are on other hosts than the step that started it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from kfp_pachyderm.launcher.config import InputConfig
from kfp_pachyderm.pachd.references import Reference, commit_message
from kfp_pachyderm.pachd.sdk import pfs, pps
from tests.launcher.launcher_steps import Runner, files, put
from tests.other_hosts import Hosts

PROGRAM = Path(__file__).with_name("dask_step.py")
ROWS, PARTS = 3000, ("a", "b", "c")


def tables() -> Iterator[tuple[str, bytes]]:
    """Two files of one table."""
    table = pd.DataFrame({"n": range(ROWS), "part": [PARTS[number % 3] for number in range(ROWS)]})
    for number, half in enumerate((table[: ROWS // 2], table[ROWS // 2 :])):
        content = io.BytesIO()
        half.to_parquet(content)
        yield f"table/{number}.parquet", content.getvalue()


def read(step: Runner, job: str, path: str) -> pd.DataFrame:
    file = pfs.File(commit=commit_message(Reference("default", step.name, job)), path=path)
    return pd.read_parquet(io.BytesIO(b"".join(piece.value for piece in step.pachd.pfs.get_file(file=file))))


def test_dask(step: Runner, hosts: Hosts, tmp_path: Path) -> None:
    put(step.pachd, f"data-{step.name}", {"greeting": b"hello", **dict(tables())})
    config = step.config(share=True, inputs=(InputConfig("data", f"data-{step.name}"),))
    argv = [sys.executable, str(PROGRAM), str(tmp_path / "scheduler.json")]
    code = f"import os; os.execv({argv[0]!r}, {argv!r})"
    where = json.dumps([(host.address, host.prefix) for host in hosts.others])
    ended = step.end(step.start(code, config, {"HOSTS": where}))
    assert ended.code == 0
    found = json.loads(ended.out.partition("FOUND ")[2].splitlines()[0])
    assert sorted(urlsplit(worker).hostname for worker in found["workers"]) == [
        host.address for host in hosts.others
    ]
    assert all(told.startswith(f"http://{hosts.here}:") for told in found["workers"].values())
    assert all(told.endswith(" hello") for told in found["workers"].values())
    sums = {part: sum(range(number, ROWS, 3)) for number, part in enumerate(PARTS)}
    assert found["sums"] == sums

    assert step.job(ended).state == pps.JobState.JOB_SUCCESS
    written = [path for path in files(step.pachd, "default", step.name, ended.job) if "part=" in path]
    assert {path.split("/")[2] for path in written} == {f"part={part}" for part in PARTS}
    numbers = [number for path in written for number in read(step, ended.job, path)["n"]]
    assert sorted(numbers) == list(range(ROWS))
