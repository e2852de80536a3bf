"""Apache Spark with S3A as a step's code: `make test-spark`, which puts Spark into a venv of its own.

Not part of `make test`: Spark and AWS's SDK for Java are more than a gigabyte to download.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from benchmarks.clients.run import Bed, Job

PYTHON = Path(sys.prefix) / "spark" / "bin" / "python"
PROGRAM = Path(__file__).with_name("spark_step.py")
ROWS, PARTS = 3000, ["a", "b", "c"]
DEADLINE = 900
#: As the program calls them, and what they call themselves.
COMMITTERS = [("default", "default"), ("itself", "magic"), ("magic", "magic")]


def table() -> pyarrow.Table:
    numbers = list(range(ROWS))
    return pyarrow.table({"n": numbers, "part": [PARTS[number % 3] for number in numbers]})


def parquet(content: pyarrow.Table) -> bytes:
    target = io.BytesIO()
    pyarrow.parquet.write_table(content, target)
    return target.getvalue()


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    halves = table().slice(0, ROWS // 2), table().slice(ROWS // 2)
    files = {f"/table/{number}.parquet": parquet(half) for number, half in enumerate(halves)}
    with Bed(tmp_path_factory.mktemp("bed"), files) as made:
        yield made


@pytest.mark.timeout(2 * DEADLINE)
@pytest.mark.parametrize(("committer", "seen"), COMMITTERS)
def test_parquet(bed: Bed, committer: str, seen: str) -> None:
    with bed.step(f"spark-{committer}") as (job, environment):
        found = copied(environment, committer, "local[2]")
    assert found["executors"] == ["127.0.0.1"]
    check(bed, job, found, seen)


def copied(environment: dict[str, str], committer: str, master: str) -> dict[str, Any]:
    """What the program says of a step in which it copies the table."""
    command = [str(PYTHON), str(PROGRAM), "written", committer, master]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return dict(json.loads(done.stdout.partition("FOUND ")[2].splitlines()[0]))


def check(bed: Bed, job: Job, found: dict[str, Any], seen: str) -> None:
    """The finished commit holds what the program read, and nothing else; `seen` is the committer."""
    assert (found["rows"], found["parts"]) == (ROWS, PARTS)
    stored = bed.hashes(job)
    del stored["written/_SUCCESS"]
    assert committed_by(bed.content(job, "written/_SUCCESS")) == seen
    # also says that nothing of _temporary or __magic is left
    assert stored == found["files"]
    assert {key.split("/")[1] for key in stored} == {f"part={part}" for part in PARTS}
    numbers = [number for key in stored for number in read(bed, job, key)]
    assert sorted(numbers) == list(range(ROWS))


def committed_by(success: bytes) -> str:
    """S3A's own committers say who they are; Hadoop's leaves the file empty."""
    return json.loads(success)["committer"] if success else "default"


def read(bed: Bed, job: Job, key: str) -> list[int]:
    """The column `n` of a file of the finished commit."""
    content = io.BytesIO(bed.content(job, key))
    numbers: list[int] = pyarrow.parquet.read_table(content)["n"].to_pylist()
    return numbers
