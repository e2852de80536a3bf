"""The sample `dask`: a cluster that the step starts reads the input and writes the output."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.waiting import PATIENCE

RUN = Path(__file__).parents[2] / "samples" / "dask" / "run.py"


def test_workers_write_the_output(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(RUN)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    assert re.search(r"^\s+Output: 20000$", done.stdout + done.stderr, re.MULTILINE)
    made = re.search(r"^(\S+\.png)  made by rides/by-hour@[0-9a-f]{32}$", done.stdout, re.MULTILINE)
    assert made
    with Image.open(made[1]) as picture:
        assert picture.size == (640, 320)
    written = re.findall(r"^/hours/borough=(\w+)/part\.\d+\.parquet$", done.stdout, re.MULTILINE)
    assert set(written) == {"Bronx", "Brooklyn", "Manhattan", "Queens"}
    # the workers found scheduler and endpoint by what they were given
    assert (done.stdout + done.stderr).count("Register worker addr") == 2
